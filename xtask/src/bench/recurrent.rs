//! Recurrent layers: their tables, which have a line a direction, and time a step against H.

use super::figures::{Family, Kept, PeerRow, Row, Run, Shape};
use super::page::{best_peer, distinct};
use super::plot::{Axes, FEWEST, FLOOR, Line, OURS, PEERS, Plot, Role};
use super::table::{Table, digits, ms, percent, times};

const AXES: Axes = Axes { x: "H", y: "GPU µs a step", unit: "µs" };
/// Ops of which the plot has a line, and what it is called.
const LINES: [(&str, &str); 4] =
    [("lstm", "weft"), ("lstm-stepped", "weft, stepped"), ("lstm-local", "weft, local"), ("lstm-persistent", "weft, persistent")];
/// Batch sizes of which there is a plot.
const BATCHES: [u64; 2] = [1, 16];

/// A line a shape and direction.
pub fn table(run: &Run, family: &Family, peers: &[&PeerRow]) -> String {
    let rows: Vec<&Row> = run.rows.iter().filter(|row| row.family == *family).collect();
    let letters = rows.first().map_or(String::new(), |row| row.shape.letters());
    let heads = [
        "direction",
        "variant",
        "GPU ms (best)",
        "wall",
        "floor",
        "floor / GPU",
        "µs a step",
        "÷ LSTM",
        "÷ full lengths",
        "share of frames",
        "tier",
        "plan + commands, CPU ms",
        "best peer",
        "peer / ours",
    ];
    let mut table = Table::new([letters].into_iter().chain(heads.map(str::to_owned)));
    for row in rows {
        let mut cells = vec![row.shape.sizes(), row.direction.clone()];
        cells.push(if row.variant == "subgroups" { String::new() } else { row.variant.clone() });
        let reason = row.outcome.as_ref().err().map(|reason| table.failed(reason));
        cells.push(match (&row.outcome, reason) {
            (Ok(figures), _) => ms(figures.best_ms),
            (Err(_), reason) => reason.unwrap_or_default(),
        });
        if let Ok(figures) = &row.outcome {
            let same = |other: &&Row| other.shape == row.shape && other.direction == row.direction && other.variant == row.variant;
            let best = |op: &str, lengths: &str| {
                let is_it = |r: &&Row| r.family.op == op && r.family.lengths == lengths && r.family.dtype == family.dtype;
                run.rows.iter().filter(same).find(is_it).and_then(|r| r.outcome.as_ref().ok())
            };
            let lstm = best("lstm", "full").filter(|_| !family.op.starts_with("lstm"));
            let full = best(&family.op, "full").filter(|_| family.lengths != "full");
            let steps = figures.steps.as_ref();
            let frames = (row.shape.side('t') * row.shape.side('n')) as f64;
            let peer = best_peer(row, peers);
            cells.extend([
                ms(figures.wall_ms),
                ms(figures.floor_ms),
                percent(figures.floor_ms / figures.best_ms),
                digits(1e3 * figures.best_ms / row.shape.side('t') as f64, 2),
                lstm.map_or(String::new(), |lstm| times(figures.best_ms / lstm.best_ms)),
                full.map_or(String::new(), |full| times(figures.best_ms / full.best_ms)),
                steps.filter(|_| full.is_some()).map_or(String::new(), |steps| times(steps.frames / frames)),
                steps.map_or(String::new(), |steps| steps.tiers.clone()),
                steps.map_or(String::new(), |steps| ms(steps.recording_ms)),
                peer.as_ref().map_or(String::new(), |(name, time)| format!("{name} {}", ms(*time))),
                peer.map_or(String::new(), |(_, time)| times(time / figures.best_ms)),
            ]);
        }
        table.row(cells);
    }
    table.text()
}

/// Forward: µs a step against H, for few sequences and more, between the floors.
pub fn plots(run: &Run, kept: &Kept) -> Vec<Plot> {
    BATCHES.iter().filter_map(|&batch| plot(run, kept, batch)).collect()
}

fn plot(run: &Run, kept: &Kept, batch: u64) -> Option<Plot> {
    let step = |shape: &Shape, time: f64| (shape.side('h') as f64, 1e3 * time / shape.side('t') as f64);
    let wanted = |family: &Family, shape: &Shape, direction: &str| {
        direction == "forward" && family.lengths == "full" && family.dtype == "f32" && shape.side('n') == batch && shape.side('h') > 1
    };
    let mut lines = Vec::new();
    for ((op, name), colour) in LINES.into_iter().zip(OURS.into_iter().cycle()) {
        let of_op = run.rows.iter().filter(|row| row.family.op == op && row.variant == "subgroups");
        let of_op = of_op.filter(|row| wanted(&row.family, &row.shape, &row.direction));
        let points = of_op.filter_map(|row| Some(step(&row.shape, row.outcome.as_ref().ok()?.best_ms))).collect();
        lines.push(Line { name: name.to_owned(), points, role: Role::Ours, colour });
    }
    let peers: Vec<&PeerRow> = kept.peers_of(run).flat_map(|peers| &peers.rows).filter(|row| row.family.op == "lstm").collect();
    for (name, colour) in distinct(peers.iter().map(|row| row.peer.as_str())).into_iter().zip(PEERS.into_iter().cycle()) {
        let of_peer = peers.iter().filter(|row| row.peer == name && wanted(&row.family, &row.shape, &row.direction));
        let points = of_peer.filter_map(|row| Some(step(&row.shape, *row.outcome.as_ref().ok()?))).collect();
        lines.push(Line { name: name.to_owned(), points, role: Role::Peer, colour });
    }
    lines.retain(|line| !line.points.is_empty());
    if lines.iter().all(|line| line.role != Role::Ours || line.points.len() < FEWEST) {
        return None;
    }
    let all: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    let [first, last] = [f64::min, f64::max].map(|of| all.iter().copied().reduce(of).unwrap_or(1.0));
    let floors = [("a dispatch a step", Some(run.dispatch_us)), ("a wait a step", run.wait_us)];
    for (name, time) in floors.into_iter().filter_map(|(name, time)| Some((name, time?))) {
        lines.push(Line { name: name.to_owned(), points: vec![(first, time), (last, time)], role: Role::Floor, colour: FLOOR });
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let file = format!("{}-lstm-steps-n{batch}.svg", run.file.trim_end_matches(".json"));
    let title = format!("LSTM forward, f32, N{batch}: GPU time a step against H");
    Some(Plot { file, title, family: Family { op: "lstm".to_owned(), ..Family::base() }, axes: AXES, adapter: run.adapter.clone(), lines })
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Figures, Steps, samples};
    use super::*;

    /// A run with LSTMs of three sizes, and one that no tier could take.
    fn kept() -> Kept {
        let mut kept = samples::kept();
        let [family, ragged] = ["full", "ragged"].map(|lengths| Family {
            op: "lstm".to_owned(),
            input: "x".to_owned(),
            lengths: lengths.to_owned(),
            ..Family::base()
        });
        let figures = |best_ms: f64, frames: f64| Figures {
            gpu_ms: 1.1 * best_ms,
            best_ms,
            wall_ms: 2.0 * best_ms,
            floor_ms: 0.5 * best_ms,
            bytes: 1.0,
            cells: None,
            workspace_bytes: None,
            peak_bytes: None,
            materialised_bytes: None,
            steps: Some(Steps { tiers: "stepped".to_owned(), frames, recording_ms: 0.3 }),
        };
        let row = |family: &Family, h: u64, outcome| Row {
            family: family.clone(),
            shape: Shape::of(&[('h', h), ('t', 100), ('n', 1)]),
            direction: "forward".to_owned(),
            variant: "subgroups".to_owned(),
            outcome,
        };
        let run = &mut kept.runs[0];
        run.rows.extend([64, 128, 256].map(|h| row(&family, h, Ok(figures(h as f64 / 100.0, 100.0)))));
        run.rows.push(row(&ragged, 64, Ok(figures(0.5, 75.0))));
        run.rows.push(row(&family, 512, Err("no room".to_owned())));
        kept
    }

    #[test]
    fn a_line_a_direction_with_what_takes_the_steps() {
        let kept = kept();
        let run = &kept.runs[0];
        let family = run.rows[6].family.clone();
        let text = table(run, &family, &[]);
        for line in ["| 64,100,1 | forward | 0.640 | 1.280 | 0.320 | 50 % | 6.40 | stepped | 0.300 |", "| 512,100,1 | forward | – (1) |"]
        {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
        let ragged = Family { lengths: "ragged".to_owned(), ..family };
        let text = table(run, &ragged, &[]);
        assert!(text.contains("| 5.00 | 0.78 × | 0.75 × | stepped | 0.300 |"), "{text}");
    }

    #[test]
    fn a_plot_lies_between_the_floors() {
        let kept = kept();
        let plots = plots(&kept.runs[0], &kept);
        let [plot] = plots.as_slice() else { panic!("{} plots", plots.len()) };
        let names: Vec<(&str, usize)> = plot.lines.iter().map(|line| (line.name.as_str(), line.points.len())).collect();
        assert_eq!(names, [("weft", 3), ("a dispatch a step", 2)]);
        assert!(plot.svg().contains("µs at 256"), "{}", plot.svg());
    }
}
