//! What is doubtful about a picture, in words.

use serde_json::Value;

use crate::engine::EnrolmentReport;

/// What there is to say about one picture that was enrolled.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Why to look at it.
    pub reasons: Vec<String>,
    /// How far to trust that.
    pub remark: Option<String>,
    /// Nothing was stored: the person has this face.
    pub already: bool,
}

/// Of a batch of one.
pub(super) fn of_engine(report: EnrolmentReport) -> Told {
    let doubts = report.doubts;
    let duplicates = doubts.duplicates.into_iter().flatten();
    let disagreements = doubts.disagreements.into_iter().flatten();
    Told {
        reasons: (duplicates.map(|row| duplicate(&row.other, row.score)))
            .chain(disagreements.map(|row| disagreement(&row.target, row.score)))
            .collect(),
        remark: doubts.remark,
        already: report.already.is_some_and(|already| !already.is_empty()),
    }
}

/// The same out of a daemon's answer.
pub(super) fn of_answer(answer: &Value) -> Told {
    let rows = |field: &str| answer[field].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let score = |row: &Value| row["score"].as_f64().unwrap_or_default();
    let duplicates = rows("duplicates").into_iter();
    let disagreements = rows("disagreements").into_iter();
    // Other sentences about the picture may come before it.
    let remark = (answer["detail"].as_str()).and_then(|detail| detail.get(detail.find(REMARK)?..));
    Told {
        reasons: (duplicates.map(|row| duplicate(&text(&row, "result"), score(&row))))
            .chain(disagreements.map(|row| disagreement(&text(&row, "target_id"), score(&row))))
            .collect(),
        remark: remark.map(str::to_owned),
        already: !rows("already_enrolled").is_empty(),
    }
}

/// How the engine's remark begins.
const REMARK: &str = "duplicates: among ";

fn duplicate(other: &str, score: f64) -> String {
    format!("this face is enrolled as \"{other}\", too (score {score:.4})")
}

fn disagreement(person: &str, score: f64) -> String {
    format!("unlike the other faces of \"{person}\" (score {score:.4} at most)")
}
