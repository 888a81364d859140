//! The best paths, by dynamic programming.

use super::{Graph, Path};

/// The `k` best paths, best first; fewer if there are fewer of more than zero probability.
pub fn k_best(graph: &Graph, k: usize) -> Vec<Path> {
    let mut best: Vec<Vec<Path>> = vec![Vec::new(); graph.nodes];
    best[graph.start].push(Path { score: 0.0, edges: Vec::new() });
    for (e, edge) in graph.edges.iter().enumerate().filter(|(_, edge)| edge.weight > f64::NEG_INFINITY) {
        let longer: Vec<Path> = best[edge.from]
            .iter()
            .map(|path| Path { score: path.score + edge.weight, edges: path.edges.iter().copied().chain([e]).collect() })
            .collect();
        let paths = &mut best[edge.to];
        paths.extend(longer);
        paths.sort_by(|a, b| b.score.total_cmp(&a.score));
        paths.truncate(k);
    }
    best.swap_remove(graph.end)
}
