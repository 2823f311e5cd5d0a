//! The tables: aligned columns, which Markdown takes as well.

use super::blocking::BlockingCalls;
use super::results::{Measured, Ratio, Results, Status};
use super::stats::Summary;

/// Text in columns. The first two are for names, the others for numbers.
struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

const NAMES: usize = 2;

impl Table {
    fn render(&self, markdown: bool) -> String {
        let header: Vec<String> = self.header.iter().map(|it| it.to_string()).collect();
        let width = |column: usize| {
            let rows = self.rows.iter().chain([&header]);
            rows.filter_map(|row| row.get(column)).map(|it| it.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column < NAMES { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            let cells: Vec<String> = cells.collect();
            match markdown {
                true => format!("| {} |\n", cells.join(" | ")),
                false => format!("{}\n", cells.join("  ").trim_end()),
            }
        };
        let rule = widths.iter().enumerate().map(|(column, &width)| match (markdown, column) {
            (false, _) => "-".repeat(width),
            (true, 0..NAMES) => "-".repeat(width.max(3)),
            (true, _) => format!("{}:", "-".repeat(width.max(3) - 1)),
        });
        let mut text = line(&header);
        text += &line(&rule.collect::<Vec<_>>());
        self.rows.iter().for_each(|row| text += &line(row));
        text
    }
}

/// The table of all workloads that are compared; nothing if there are none.
pub fn ratios(results: &Results, markdown: bool) -> Option<String> {
    let header =
        vec!["workload", "side", "op/s", "spread", "CPU/op", "spread", "p50", "p99", "p99 spread"];
    let mut table = Table { header, rows: Vec::new() };
    for measured in &results.workloads {
        let Some(base) = &measured.base else { continue };
        let noisy = if measured.noisy { " ~" } else { "" };
        table.rows.push(vec![
            format!("{}{noisy}", measured.name),
            results.base.clone(),
            rate(base.throughput.median),
            percent(&base.throughput),
            time(base.cpu.median),
            percent(&base.cpu),
            time(base.p50.median),
            time(base.p99.median),
            percent(&base.p99),
        ]);
        for comparison in &measured.comparisons {
            table.rows.push(vec![
                String::new(),
                comparison.engine.clone(),
                times(&comparison.throughput),
                range(&comparison.throughput),
                times(&comparison.cpu),
                range(&comparison.cpu),
                times(&comparison.p50),
                times(&comparison.p99),
                range(&comparison.p99),
            ]);
        }
    }
    (!table.rows.is_empty()).then(|| table.render(markdown))
}

/// The duration of io_submit; nothing if it was not measured.
pub fn submits(results: &Results, markdown: bool) -> Option<String> {
    let mut table =
        Table { header: vec!["io_submit in", "side", "p50", "p99", "max"], rows: Vec::new() };
    for measured in &results.workloads {
        let mut name = measured.name.clone();
        for subject in &results.subjects {
            let medians = [
                measured.submit(&subject.name, |it| it.p50),
                measured.submit(&subject.name, |it| it.p99),
                measured.submit(&subject.name, |it| it.max),
            ];
            if let [Some(p50), Some(p99), Some(max)] = medians {
                let mut row = vec![std::mem::take(&mut name), subject.name.clone()];
                row.extend([p50, p99, max].map(time));
                table.rows.push(row);
            }
        }
    }
    (!table.rows.is_empty()).then(|| table.render(markdown))
}

/// The price of polls themselves; nothing if there were none.
pub fn polls(results: &Results, markdown: bool) -> Option<String> {
    let header = vec!["CPU per poll in", "side", "beyond", "spread", "write + read"];
    let mut table = Table { header, rows: Vec::new() };
    for measured in &results.workloads {
        let of_base = |pick| Summary::of(&measured.values(&results.base, pick));
        let beyond = of_base(|sample| sample.cpu_beyond().unwrap_or(f64::NAN));
        let Some(beyond) = beyond.filter(|summary| !summary.median.is_nan()) else { continue };
        let baseline = of_base(|sample| sample.baseline_ns.unwrap_or(f64::NAN));
        table.rows.push(vec![
            measured.name.clone(),
            results.base.clone(),
            time(beyond.median),
            percent(&beyond),
            baseline.map_or(String::new(), |summary| time(summary.median)),
        ]);
        for comparison in &measured.comparisons {
            if let Some(beyond) = &comparison.cpu_beyond {
                let row = [&comparison.engine, &times(beyond), &range(beyond), ""];
                table.rows.push(
                    [""].iter().chain(&row.map(|it| it as &str)).map(|it| it.to_string()).collect(),
                );
            }
        }
    }
    (!table.rows.is_empty()).then(|| table.render(markdown))
}

/// How many blocking calls were cut short, and which; nothing if none were made.
pub fn interruptions(results: &Results, markdown: bool) -> Option<String> {
    let header = vec!["blocking calls in", "side", "calls", "short", "EINTR", "which"];
    let mut table = Table { header, rows: Vec::new() };
    for measured in &results.workloads {
        let mut name = measured.name.clone();
        for subject in &results.subjects {
            let Some(calls) = measured.blocking_calls.get(&subject.name) else { continue };
            let sum = |pick: fn(&BlockingCalls) -> u64| calls.iter().map(pick).sum::<u64>();
            let counts = [sum(|it| it.calls), sum(|it| it.short), sum(|it| it.eintr)];
            let cut = calls.iter().filter(|it| it.short + it.eintr > 0);
            let cut = cut.map(|it| format!("{} {}", it.call, it.short + it.eintr));
            let mut row = vec![std::mem::take(&mut name), subject.name.clone()];
            row.extend(counts.map(|count| count.to_string()));
            row.push(cut.collect::<Vec<_>>().join(", "));
            table.rows.push(row);
        }
    }
    (!table.rows.is_empty()).then(|| table.render(markdown))
}

/// Workloads without figures, with the reason.
pub fn absent(workloads: &[Measured]) -> Vec<String> {
    workloads
        .iter()
        .filter_map(|it| match &it.status {
            Status::Measured => None,
            Status::Skipped(reason) => Some(format!("{}: skipped, {reason}", it.name)),
            Status::Failed(what) => Some(format!("{}: FAILED, {what}", it.name)),
            Status::NotReached(rounds) => {
                Some(format!("{}: time for {rounds} rounds only", it.name))
            }
        })
        .collect()
}

fn times(ratio: &Ratio) -> String {
    factor(ratio.summary.median) + "x"
}

/// The middle half.
fn range(ratio: &Ratio) -> String {
    format!("{}-{}", factor(ratio.summary.q1), factor(ratio.summary.q3))
}

/// A ratio.
pub fn factor(ratio: f64) -> String {
    match ratio {
        ..0.00995 => format!("{ratio:.4}"),
        ..0.0995 => format!("{ratio:.3}"),
        ..9.995 => format!("{ratio:.2}"),
        ..99.95 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

/// The width of the middle half, as a part of the median.
fn percent(summary: &Summary) -> String {
    format!("{:.0} %", summary.relative_spread() * 100.0)
}

/// Operations per second.
pub fn rate(rate: f64) -> String {
    match rate {
        ..1e4 => format!("{rate:.0}"),
        ..1e6 => format!("{:.1}k", rate / 1e3),
        _ => format!("{:.2}M", rate / 1e6),
    }
}

/// Nanoseconds.
pub fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e4 => format!("{:.2} µs", ns / 1e3),
        ..1e5 => format!("{:.1} µs", ns / 1e3),
        ..1e6 => format!("{:.0} µs", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["µs".to_string(), "b".to_string(), "1".to_string()],
            vec!["a".to_string(), "bb".to_string(), "100".to_string()],
        ];
        let table = Table { header: vec!["x", "y", "z"], rows };
        assert_eq!(table.render(false), "x   y     z\n--  --  ---\nµs  b     1\na   bb  100\n");
        let expected =
            "| x  | y  |   z |\n| --- | --- | --: |\n| µs | b  |   1 |\n| a  | bb | 100 |\n";
        assert_eq!(table.render(true), expected);
    }

    #[test]
    fn numbers_have_three_digits_or_so() {
        assert_eq!([9999.4, 123_456.0, 1_234_567.0].map(rate), ["9999", "123.5k", "1.23M"]);
        assert_eq!(
            [999.0, 1234.0, 12_345.0, 123_456.0, 30_000_000.0].map(time),
            ["999 ns", "1.23 µs", "12.3 µs", "123 µs", "30.0 ms"]
        );
        assert_eq!(
            [0.00123, 0.0123, 0.98765, 12.345, 1234.5].map(factor),
            ["0.0012", "0.012", "0.99", "12.3", "1234"]
        );
    }
}
