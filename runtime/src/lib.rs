//! stub
#![allow(dead_code, reason = "skeleton")]
mod clock;
mod reactor;
mod timers;
