//! A table in Markdown, with the reasons for its empty cells below it.

/// Rows of cells, and reasons in the order in which they were given.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    reasons: Vec<String>,
}

impl Table {
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()], reasons: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A cell that stands for a failure: a number that points to the reason below the table.
    pub fn failed(&mut self, reason: &str) -> String {
        let known = self.reasons.iter().position(|r| r == reason);
        let place = known.unwrap_or_else(|| {
            self.reasons.push(reason.to_owned());
            self.reasons.len() - 1
        });
        format!("– ({})", place + 1)
    }

    /// The Markdown. Columns that are empty in every row are left out.
    pub fn text(&self) -> String {
        let [head, rows @ ..] = self.rows.as_slice() else { return String::new() };
        let used: Vec<usize> =
            (0..head.len()).filter(|&i| rows.iter().any(|row| row.get(i).is_some_and(|cell| !cell.is_empty()))).collect();
        let line = |row: &[String]| {
            let cells: Vec<String> = used.iter().map(|&i| row.get(i).map_or(String::new(), |cell| cell.replace('|', "\\|"))).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(head) + &format!("|{}\n", "---|".repeat(used.len()));
        rows.iter().for_each(|row| text += &line(row));
        if !self.reasons.is_empty() {
            text.push('\n');
        }
        for (place, reason) in self.reasons.iter().enumerate() {
            text += &format!("({}) {reason}  \n", place + 1);
        }
        text
    }
}

/// Milliseconds with three digits or so.
pub fn ms(value: f64) -> String {
    digits(
        value,
        if value < 0.1 {
            4
        } else if value < 10.0 {
            3
        } else {
            1
        },
    )
}

/// A ratio.
pub fn times(value: f64) -> String {
    digits(value, if value < 10.0 { 2 } else { 0 }) + " ×"
}

pub fn percent(value: f64) -> String {
    digits(100.0 * value, 0) + " %"
}

pub fn digits(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_vanish_and_equal_reasons_share_a_number() {
        let mut table = Table::new(["a", "b", "c"]);
        let [first, again] = [table.failed("x | y"), table.failed("x | y")];
        table.row(vec!["1".into(), String::new(), first]);
        table.row(vec!["2|".into(), String::new(), again]);
        assert_eq!(table.text(), "| a | c |\n|---|---|\n| 1 | – (1) |\n| 2\\| | – (1) |\n\n(1) x | y  \n");
    }

    #[test]
    fn figures_have_three_digits_or_so() {
        assert_eq!([0.02051, 0.1264, 7.6123, 12.24, 377.0].map(ms), ["0.0205", "0.126", "7.612", "12.2", "377.0"]);
        assert_eq!([0.4, 2.131, 22.3].map(times), ["0.40 ×", "2.13 ×", "22 ×"]);
    }
}
