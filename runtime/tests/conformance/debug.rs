//! Debug mode.

use perloop::get_running_loop;
use serde_json::Value;

use crate::error::Error;

/// Switches it.
pub(crate) fn op(op: &Value) -> Option<Result<Value, Error>> {
    if op["op"] != "set_debug" {
        return None;
    }
    get_running_loop().expect("a loop runs").set_debug(op["value"] == true);
    Some(Ok(Value::Null))
}
