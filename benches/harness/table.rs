//! One table for a workload in a setting.

use super::goal::Verdict;
use super::metric::Metric;
use super::row::Row;
use super::workload::{Role, Setting, Workload};

/// Ours first, then the peers from the best to the worst, then Python's, then the bounds.
pub(crate) fn print(workload: &Workload, setting: &Setting, rows: &[Row<'_>], verdicts: &[Verdict]) {
    println!("{}: {}; {setting}", workload.name, workload.title);
    let columns: Vec<_> = workload.metrics.iter().map(|&metric| Column::of(metric, rows)).collect();
    let heads: String = columns.iter().map(Column::head).collect();
    let class = workload.class.unwrap_or_default();
    println!("{}", format!("  {:<36}{heads}   {:<22} {class}", "", "least to most").trim_end());
    let mut sorted: Vec<_> = rows.iter().collect();
    let figure = |row: &Row<'_>| row.median(workload.metrics[0]).unwrap_or(f64::INFINITY);
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then(figure(a).total_cmp(&figure(b))));
    for row in sorted {
        println!("  {:<36}{}", label(row), line(row, &columns));
    }
    for verdict in verdicts {
        println!("  {}", verdict.text);
    }
    println!();
}

/// A metric, and what is best in it.
struct Column {
    metric: Metric,
    best_peer: Option<f64>,
    best_bound: Option<f64>,
}

impl Column {
    fn of(metric: Metric, rows: &[Row<'_>]) -> Self {
        let best = |role| {
            let of_role = rows.iter().filter(|row| row.contestant.role == role);
            of_role.filter_map(|row| row.median(metric)).min_by(f64::total_cmp)
        };
        Self { metric, best_peer: best(Role::Peer), best_bound: best(Role::Bound) }
    }

    fn head(&self) -> String {
        let head = |best: Option<f64>, name| best.map_or_else(String::new, |_| format!("{name:>9}"));
        let (peer, bound) = (head(self.best_peer, "x peer"), head(self.best_bound, "x bound"));
        format!("{:>14}{peer}{bound}", self.metric.name)
    }

    fn cell(&self, row: &Row<'_>) -> String {
        let value = row.median(self.metric);
        let ratio = |best: f64| match value {
            Some(value) if best > 0.0 && value < 100.0 * best => format!("{:>9.3}", value / best),
            Some(value) if best > 0.0 => format!("{:>9.0}", value / best),
            _ => format!("{:>9}", ""),
        };
        let ratios: String = [self.best_peer, self.best_bound].into_iter().flatten().map(ratio).collect();
        let value = value.map_or_else(|| "-".to_owned(), |value| self.metric.unit.format(value));
        format!("{value:>14}{ratios}")
    }
}

fn rank(row: &Row<'_>) -> u8 {
    match row.contestant.role {
        Role::Ours => 0,
        Role::Peer => 1,
        Role::Python => 2,
        Role::Bound => 3,
    }
}

fn label(row: &Row<'_>) -> String {
    match row.contestant.role {
        Role::Ours => format!("* {}", row.contestant.name),
        Role::Peer | Role::Python => format!("  {}", row.contestant.name),
        Role::Bound => format!("  ({})", row.contestant.name),
    }
}

fn line(row: &Row<'_>, columns: &[Column]) -> String {
    let failure = row.failure.as_deref().unwrap_or_default();
    if !row.is_measured() {
        return format!("   {}{failure}", if row.is_skipped() { "" } else { "did not run: " });
    }
    let cells: String = columns.iter().map(|column| column.cell(row)).collect();
    let metric = columns[0].metric;
    let range = row.range(metric).map_or_else(String::new, |(least, most)| {
        format!("{} to {}", metric.unit.format(least), metric.unit.format(most))
    });
    let class = row.is_of_class.map_or("", |is_of_class| if is_of_class { "yes" } else { "no" });
    let note = row.failure.as_ref().map_or_else(String::new, |failure| format!("  (failed: {failure})"));
    format!("{cells}   {range:<22} {class}{note}").trim_end().to_owned()
}
