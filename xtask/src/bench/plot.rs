//! GPU time against batch size as SVG: both axes logarithmic, one plot a shape, the floor drawn in, peers beside.

use super::figures::{Family, Kept, Row, Run, Shape};
use super::page::distinct;
use super::recurrent;
use super::table::ms;

/// One plot.
pub struct Plot {
    pub file: String,
    pub title: String,
    pub family: Family,
    pub axes: Axes,
    pub adapter: String,
    pub lines: Vec<Line>,
}

/// What the axes stand for; the last is said of a line's last point: `ms at`.
#[derive(Clone, Copy)]
pub struct Axes {
    pub x: &'static str,
    pub y: &'static str,
    pub unit: &'static str,
}

const BATCHES: Axes = Axes { x: "utterances in the batch", y: "GPU ms", unit: "ms" };

/// One line of a plot: x and y, ascending.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub role: Role,
    pub colour: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Ours,
    Peer,
    Floor,
}

/// The fewest points of a line that make a plot.
pub const FEWEST: usize = 3;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 430.0;
/// Where the axes are.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 500.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 380.0;
/// Okabe and Ito's colours, which colour-blind readers tell apart.
pub const OURS: [&str; 3] = ["#0072b2", "#56b4e9", "#009e73"];
pub const PEERS: [&str; 6] = ["#d55e00", "#e69f00", "#cc79a7", "#7f6000", "#882255", "#44aa99"];
pub const FLOOR: &str = "#777777";

/// The plots of all runs.
pub fn plots(kept: &Kept) -> Vec<Plot> {
    kept.runs.iter().flat_map(|run| recurrent::plots(run, kept).into_iter().chain(plots_of(run, kept))).collect()
}

/// The plots of one run: a shape of a family each, where it was run at several batch sizes.
pub fn plots_of(run: &Run, kept: &Kept) -> Vec<Plot> {
    let kinds = distinct(run.rows.iter().map(|row| (row.family.clone(), row.shape.without_batch())));
    let plots = kinds.into_iter().map(|(family, shape)| plot(run, kept, &family, &shape));
    plots.filter(|plot| plot.lines.iter().any(|line| line.role == Role::Ours && line.points.len() >= FEWEST)).collect()
}

fn plot(run: &Run, kept: &Kept, family: &Family, shape: &Shape) -> Plot {
    let rows: Vec<&Row> = run.rows.iter().filter(|row| row.family == *family && row.shape.without_batch() == *shape).collect();
    let mut lines = Vec::new();
    for (direction, variant) in distinct(rows.iter().map(|row| (row.direction.as_str(), row.variant.as_str()))) {
        let of_line = rows.iter().filter(|row| row.direction == direction && row.variant == variant);
        let timed: Vec<_> = of_line.filter_map(|row| Some((row.shape.side('n') as f64, row.outcome.as_ref().ok()?))).collect();
        // Loss without gradient and plain variants are in the table: more lines would hide each other.
        if direction == "loss" || variant != "subgroups" {
            continue;
        }
        if direction == "loss+grad" || direction == "forward" {
            let points = timed.iter().map(|&(n, f)| (n, f.floor_ms)).collect();
            lines.push(Line { name: "floor (bytes, launches)".into(), points, role: Role::Floor, colour: FLOOR });
        }
        let points = timed.iter().map(|&(n, f)| (n, f.gpu_ms)).collect();
        let colour = OURS[lines.iter().filter(|line| line.role == Role::Ours).count() % OURS.len()];
        lines.push(Line { name: format!("weft {direction}"), points, role: Role::Ours, colour });
    }
    let peers: Vec<_> = kept.peers_of(run).flat_map(|peers| &peers.rows).collect();
    let same = || peers.iter().filter(|p| p.family == *family && p.shape.without_batch() == *shape && p.direction == "loss+grad");
    // A peer has the same colour in every plot.
    for (place, name) in distinct(peers.iter().map(|p| p.peer.as_str())).into_iter().enumerate() {
        let of_line = same().filter(|p| p.peer == name);
        let points = of_line.filter_map(|p| Some((p.shape.side('n') as f64, *p.outcome.as_ref().ok()?))).collect();
        lines.push(Line { name: name.into(), points, role: Role::Peer, colour: PEERS[place % PEERS.len()] });
    }
    lines.retain(|line| !line.points.is_empty());
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let run_name = run.file.trim_end_matches(".json");
    let file = format!("{run_name}-{}-{}.svg", family.slug(), shape.to_string().to_lowercase().replace(' ', "-"));
    Plot { file, title: format!("{family}, {shape}"), family: family.clone(), axes: BATCHES, adapter: run.adapter.clone(), lines }
}

impl Plot {
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(points().map(|p| p.0), [LEFT + 16.0, RIGHT - 16.0]);
        let y = Axis::new(points().map(|p| p.1), [BOTTOM - 12.0, TOP + 12.0]);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n",
            title = escaped(&self.title)
        );
        svg += &text([WIDTH - 12.0, HEIGHT - 12.0], "end", "#666", &self.adapter);
        for n in distinct(points().map(|p| p.0)) {
            svg += &segment([x.at(n), TOP], [x.at(n), BOTTOM], "#e5e5e5", 1.0);
            svg += &text([x.at(n), BOTTOM + 18.0], "middle", "#222", &format!("{n}"));
        }
        for tick in y.ticks() {
            svg += &segment([LEFT, y.at(tick)], [RIGHT, y.at(tick)], "#e5e5e5", 1.0);
            svg += &text([LEFT - 8.0, y.at(tick) + 4.0], "end", "#222", &format!("{tick}"));
        }
        svg += &format!(
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>\n",
            RIGHT - LEFT,
            BOTTOM - TOP
        );
        svg += &text([(LEFT + RIGHT) / 2.0, HEIGHT - 12.0], "middle", "#222", self.axes.x);
        svg += &text([LEFT - 8.0, TOP - 4.0], "end", "#222", self.axes.y);
        for (place, line) in self.slowest_first().into_iter().enumerate() {
            svg += &line.svg(&x, &y);
            // The legend, beside it.
            let at = TOP + 12.0 + 34.0 * place as f64;
            svg += &line.stroke(&[[RIGHT + 16.0, at], [RIGHT + 44.0, at]]);
            svg += &text([RIGHT + 52.0, at + 4.0], "start", "#222", &line.name);
            let last = line.points.last().map_or(String::new(), |&(n, time)| format!("{} {} at {n}", ms(time), self.axes.unit));
            svg += &text([RIGHT + 52.0, at + 18.0], "start", "#666", &last);
        }
        svg + "</svg>\n"
    }

    /// The lines in the order of their right ends: those that reach the largest batch, then the slowest, first.
    fn slowest_first(&self) -> Vec<&Line> {
        let mut lines: Vec<_> = self.lines.iter().collect();
        let end = |line: &Line| line.points.last().copied().unwrap_or_default();
        lines.sort_by(|a, b| end(b).0.total_cmp(&end(a).0).then(end(b).1.total_cmp(&end(a).1)));
        lines
    }
}

impl Line {
    fn svg(&self, x: &Axis, y: &Axis) -> String {
        let colour = self.colour;
        let points: Vec<[f64; 2]> = self.points.iter().map(|&(n, time)| [x.at(n), y.at(time)]).collect();
        let mut svg = self.stroke(&points);
        for [x, y] in points.iter().filter(|_| self.role != Role::Floor) {
            svg += &match self.role {
                Role::Peer => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\" fill=\"{colour}\"/>\n", x - 3.0, y - 3.0),
                _ => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n"),
            };
        }
        svg
    }

    fn stroke(&self, points: &[[f64; 2]]) -> String {
        let colour = self.colour;
        let path: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let (width, dash) = match self.role {
            Role::Ours => (2.5, ""),
            Role::Peer => (1.5, ""),
            Role::Floor => (1.5, " stroke-dasharray=\"5 4\""),
        };
        format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>\n", path.join(" "))
    }
}

/// A logarithmic axis from the smallest to the largest of its values.
struct Axis {
    log_min: f64,
    log_max: f64,
    ends: [f64; 2],
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, ends: [f64; 2]) -> Self {
        let logs = values.filter(|v| *v > 0.0).map(f64::log10);
        let (log_min, log_max) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        Self { log_min, log_max: log_max.max(log_min + 1e-9), ends }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - self.log_min) / (self.log_max - self.log_min);
        self.ends[0] + share * (self.ends[1] - self.ends[0])
    }

    /// 1, 2 and 5 of every decade within the axis, or the decades alone where that would be crowded.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.log_min.floor() as i32..=self.log_max.ceil() as i32;
        let steps: &[f64] = if self.log_max - self.log_min > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let within = |tick: &f64| (self.log_min..=self.log_max).contains(&tick.log10());
        // Parsed from text: 10^-2 times 2 is 0.02, and is shown so.
        let tick = |decade: i32, step: f64| format!("{step}e{decade}").parse().unwrap_or(step);
        decades.flat_map(|decade| steps.iter().map(move |&step| tick(decade, step))).filter(within).collect()
    }
}

fn segment([x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str, width: f64) -> String {
    format!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n")
}

fn text([x, y]: [f64; 2], anchor: &str, colour: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>\n", escaped(words))
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::figures::samples;
    use super::*;

    #[test]
    fn a_plot_has_a_line_for_us_for_the_floor_and_for_each_peer() {
        let plots = plots(&samples::kept());
        let [plot] = plots.as_slice() else { panic!("{} plots", plots.len()) };
        assert_eq!(plot.file, "run-rnnt-logits-f32-t10-u5-v4.svg");
        let lines: Vec<(&str, usize)> = plot.lines.iter().map(|l| (l.name.as_str(), l.points.len())).collect();
        assert_eq!(lines, [("floor (bytes, launches)", 3), ("weft loss+grad", 3), ("slow", 2), ("fast", 1)]);
        let order: Vec<&str> = plot.slowest_first().iter().map(|l| l.name.as_str()).collect();
        assert_eq!(order, ["weft loss+grad", "floor (bytes, launches)", "slow", "fast"]);
        let svg = plot.svg();
        assert_eq!(svg.matches("<polyline").count(), 8, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn an_axis_is_logarithmic_and_its_ticks_lie_within() {
        let axis = Axis::new([0.02, 2.0].into_iter(), [100.0, 0.0]);
        assert_eq!([axis.at(0.02), axis.at(2.0)], [100.0, 0.0]);
        assert!((axis.at(0.2) - 50.0).abs() < 1e-9);
        assert_eq!(axis.ticks(), [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(Axis::new([0.05, 500.0].into_iter(), [0.0, 1.0]).ticks(), [0.1, 1.0, 10.0, 100.0]);
    }
}
