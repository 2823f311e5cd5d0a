//! The picture: bars of ratios, and curves of latency over depth.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::job::{Access, Disk, Kind, Op, Percentiles};
use super::results::{Comparison, Measured, Ratio, Results};
use super::stats::Summary;
use super::table;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;
/// One side's name, and a latency for each depth.
type Curve<'a> = (&'a str, Vec<(f64, f64)>);

const WIDTH: u32 = 1000;
const TITLE: u32 = 70;
const CURVES: u32 = 360;
const BAR: u32 = 8;
const AXIS: u32 = 60;
/// Ratios beyond these are drawn as these, with their number.
const BOUNDS: (f64, f64) = (0.125, 8.0);
const KEY_RATIOS: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
const FONT: &str = "sans-serif";
/// Okabe and Ito's colours, which the colour-blind can tell apart.
const COLORS: [RGBColor; 4] = [
    RGBColor(0x55, 0x55, 0x55),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
];

/// All of it, as SVG.
pub fn draw(results: &Results) -> Result<String, Box<dyn Error>> {
    let rows: Vec<&Measured> =
        results.workloads.iter().filter(|it| !it.comparisons.is_empty()).collect();
    let panels = [
        ("direct random reads", curves(results, Op::RandomRead)),
        ("direct random overwrites", curves(results, Op::RandomWrite)),
    ];
    let panels: Vec<_> = panels.into_iter().filter(|(_, curves)| !curves.is_empty()).collect();
    let row = BAR * results.subjects.len() as u32;
    let bars = AXIS + row * rows.len() as u32 + 20;
    let curves = if panels.is_empty() { 0 } else { CURVES };

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, TITLE + bars + curves));
        let root = root.into_drawing_area();
        root.fill(&WHITE)?;
        let (title, rest) = root.split_vertically(TITLE);
        draw_title(&title, results)?;
        let (upper, lower) = rest.split_vertically(bars);
        // The left half has the names of the workloads as well.
        let (left, right) = upper.split_horizontally(590);
        draw_bars(
            &left,
            results,
            &rows,
            ("operations per second: longer to the right is better", 190),
            |it| &it.throughput,
        )?;
        draw_bars(
            &right,
            results,
            &rows,
            ("CPU time per operation: longer to the left is better", 10),
            |it| &it.cpu,
        )?;
        for (area, (name, curves)) in
            lower.split_evenly((1, panels.len().max(1))).iter().zip(&panels)
        {
            draw_curves(area, results, name, curves)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn color(results: &Results, side: &str) -> RGBColor {
    let index = results.subjects.iter().position(|subject| subject.name == side);
    index.and_then(|index| COLORS.get(index)).copied().unwrap_or(BLACK)
}

fn anchored(size: u32, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    (FONT, size).into_font().into_text_style(&(WIDTH, WIDTH)).pos(Pos::new(horizontal, vertical))
}

fn draw_title(area: &Area, results: &Results) -> Drawn {
    let (base, machine) = (&results.base, &results.machine);
    let title = format!("uaio {} compared with {base}", results.uaio);
    area.draw(&Text::new(title, (16, 10), anchored(20, HPos::Left, VPos::Top)))?;
    let about = format!(
        "Linux {}, {} CPUs, {}; medians of {} rounds, lines are the middle half",
        machine.kernel, machine.cpus, results.settings.file_system, results.settings.pairs
    );
    area.draw(&Text::new(about, (16, 38), anchored(13, HPos::Left, VPos::Top)))?;
    for (place, subject) in (0..).map(|index| 700 + 75 * index).zip(&results.subjects) {
        let color = color(results, &subject.name);
        area.draw(&Rectangle::new([(place, 14), (place + 12, 26)], color.filled()))?;
        let style = anchored(13, HPos::Left, VPos::Center);
        area.draw(&Text::new(subject.name.clone(), (place + 16, 20), style))?;
    }
    Ok(())
}

/// A row for each workload, in it a bar for each side, from 1 to its ratio.
fn draw_bars(
    area: &Area,
    results: &Results,
    rows: &[&Measured],
    (caption, names): (&str, u32),
    pick: fn(&Comparison) -> &Ratio,
) -> Drawn {
    let count = rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 14))
        .margin_right(30)
        .set_label_area_size(LabelAreaPosition::Left, names)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(
            (BOUNDS.0..BOUNDS.1).log_scale().with_key_points(KEY_RATIOS.to_vec()),
            count..0.0,
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(WHITE)
        .x_label_style((FONT, 11))
        .x_label_formatter(&|ratio| format!("{ratio}x"))
        .draw()?;
    let sides = results.subjects.len() as f64;
    for (top, row) in (0..).map(f64::from).zip(rows) {
        if names > 50 {
            let name =
                Text::new(row.name.clone(), (-6, 0), anchored(11, HPos::Right, VPos::Center));
            chart.plotting_area().draw(&(EmptyElement::at((BOUNDS.0, top + 0.5)) + name))?;
        }
        for (index, comparison) in (0..).map(f64::from).zip(&row.comparisons) {
            let Summary { median, q1, q3, .. } = pick(comparison).summary;
            let end = median.clamp(BOUNDS.0, BOUNDS.1);
            let (upper, lower) = (top + (index + 0.5) / sides, top + (index + 1.5) / sides);
            let middle = (upper + lower) / 2.0;
            let color = color(results, &comparison.engine);
            let area = chart.plotting_area();
            area.draw(&Rectangle::new([(1.0, upper), (end, lower)], color.filled()))?;
            let spread = [q1, q3].map(|it| (it.clamp(BOUNDS.0, BOUNDS.1), middle));
            area.draw(&PathElement::new(spread, BLACK.stroke_width(1)))?;
            if median != end {
                let (place, side) = if median > end { (4, HPos::Left) } else { (-4, HPos::Right) };
                let number = format!("{}x", table::factor(median));
                let number = Text::new(number, (place, 0), anchored(9, side, VPos::Center));
                area.draw(&(EmptyElement::at((end, middle)) + number))?;
            }
        }
    }
    let one = PathElement::new([(1.0, 0.0), (1.0, count)], BLACK.stroke_width(1));
    chart.plotting_area().draw(&one)?;
    Ok(())
}

/// The latencies of all sides over the depth, with batches of 1: first medians, then 99th
/// percentiles. Nothing unless two depths were measured.
fn curves(results: &Results, wanted: Op) -> Vec<(bool, Curve<'_>)> {
    let points = |side: &str, pick: fn(&Percentiles) -> u64| -> Vec<(f64, f64)> {
        // A curve is not of several file systems, whose names are before a slash.
        let comparable = results.workloads.iter().filter(|it| !it.name.contains('/'));
        let workloads = comparable.filter_map(|measured| match measured.workload {
            Kind::Disk(Disk { access: Access::Direct, op, depth, batch: 1, size: 4096 })
                if op == wanted =>
            {
                let samples = measured.rounds.iter().filter_map(|round| round.samples.get(side));
                let values: Vec<f64> = samples.map(|it| pick(&it.latency) as f64).collect();
                Some((depth as f64, Summary::of(&values)?.median / 1000.0))
            }
            _ => None,
        });
        workloads.collect()
    };
    let mut curves = Vec::new();
    for subject in &results.subjects {
        let (p50, p99) = (points(&subject.name, |it| it.p50), points(&subject.name, |it| it.p99));
        if p50.len() > 1 {
            curves.push((false, (subject.name.as_str(), p50)));
            curves.push((true, (subject.name.as_str(), p99)));
        }
    }
    curves
}

fn draw_curves(area: &Area, results: &Results, name: &str, curves: &[(bool, Curve)]) -> Drawn {
    let points = || curves.iter().flat_map(|(_, (_, points))| points);
    let bounds = |values: &dyn Fn(&(f64, f64)) -> f64| {
        let low = points().map(values).fold(f64::INFINITY, f64::min);
        low..points().map(values).fold(0.0, f64::max)
    };
    let (depths, times) = (bounds(&|it| it.0), bounds(&|it| it.1));
    let mut keys: Vec<f64> = points().map(|it| it.0).collect();
    keys.sort_unstable_by(f64::total_cmp);
    keys.dedup();
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{name}: p50 (solid), p99 (dashed)"), (FONT, 14))
        .margin(16)
        .set_label_area_size(LabelAreaPosition::Left, 56)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(
            depths.log_scale().with_key_points(keys),
            (times.start * 0.8..times.end * 1.25).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, 11))
        .x_label_formatter(&f64::to_string)
        .y_label_formatter(&f64::to_string)
        .x_desc("depth")
        .y_desc("µs")
        .draw()?;
    for (is_dashed, (side, points)) in curves {
        let style = color(results, side).stroke_width(2);
        if *is_dashed {
            let line = DashedLineSeries::new(points.iter().copied(), 6, 4, style);
            chart.draw_series(line)?;
        } else {
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        }
    }
    Ok(())
}
