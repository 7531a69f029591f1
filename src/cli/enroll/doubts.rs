//! What is doubtful about a picture, in words.

use serde_json::Value;

use crate::engine::Doubts;

pub(super) fn of_engine(doubts: &Doubts) -> Vec<String> {
    let duplicates =
        (doubts.duplicates.iter().flatten()).map(|row| duplicate(&row.other, row.score));
    let disagreements = doubts.disagreements.iter().flatten();
    duplicates
        .chain(disagreements.map(|row| disagreement(&row.target, row.score)))
        .collect()
}

/// The same out of a daemon's answer.
pub(super) fn of_answer(answer: &Value) -> Vec<String> {
    let rows = |field: &str| answer[field].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let score = |row: &Value| row["score"].as_f64().unwrap_or_default();
    let duplicates = rows("duplicates").into_iter();
    let disagreements = rows("disagreements").into_iter();
    duplicates
        .map(|row| duplicate(&text(&row, "result"), score(&row)))
        .chain(disagreements.map(|row| disagreement(&text(&row, "target_id"), score(&row))))
        .collect()
}

fn duplicate(other: &str, score: f64) -> String {
    format!("this face is enrolled as \"{other}\", too (score {score:.4})")
}

fn disagreement(person: &str, score: f64) -> String {
    format!("unlike the other faces of \"{person}\" (score {score:.4} at most)")
}
