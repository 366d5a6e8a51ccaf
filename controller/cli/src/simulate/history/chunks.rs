//! Cutting a history into questions that a Prometheus answers.

use super::Grid;

/// Points in one question. Prometheus refuses more than 11,000; fewer make shorter answers, and less to do again after an interruption.
pub(super) const POINTS: i64 = 4_000;

/// One question's part of a history, both ends inclusive, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chunk {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
}

impl Chunk {
    /// Both halves, if there is anything to halve.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let steps = (self.end - self.start) / self.step;
        if steps < 8 {
            return None;
        }
        let end = self.start + steps / 2 * self.step;
        let start = end + self.step;
        Some([Self { end, ..self }, Self { start, ..self }])
    }
}

/// The parts of a grid. Their borders are the same whatever the grid's ends are, so that another simulation finds them in the cache.
pub(super) fn of(grid: Grid) -> Vec<Chunk> {
    let step = grid.step();
    let length = step * POINTS;
    let mut chunks = Vec::new();
    let mut start = grid.start();
    while start <= grid.end() {
        let border = (start.div_euclid(length) + 1) * length;
        let end = (border - step).min(grid.end());
        chunks.push(Chunk { start, end, step });
        start = border;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_point_once() {
        let grid = Grid::new(123_456, 200_000_000, 10_000).unwrap();
        let mut next = grid.start();
        for chunk in of(grid) {
            assert_eq!(chunk.start, next);
            assert!((chunk.end - chunk.start) / chunk.step < 11_000);
            next = chunk.end + chunk.step;
        }
        assert_eq!(next, grid.end() + grid.step());
    }

    #[test]
    fn inner_chunks_do_not_depend_on_the_ends() {
        let [short, long] =
            [100_000_000, 50_000_000].map(|from| of(Grid::new(from, 300_000_000, 10_000).unwrap()));
        assert!(short[1..].iter().all(|chunk| long.contains(chunk)));
    }

    #[test]
    fn halves_are_the_whole() {
        let chunk = Chunk {
            start: 0,
            end: 100,
            step: 10,
        };
        let [left, right] = chunk.halves().unwrap();
        assert_eq!((left.start, right.end), (0, 100));
        assert_eq!(left.end + 10, right.start);
    }
}
