//! `/face/insert`, `/face/update`, `/delete/id` and `/delete/face`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::caller::CalledBy;
use super::error::ApiError;
use super::fields::{Fields, Upload};
use super::router::AppState;
use crate::engine::{Asked, Code, Doubts, EnrolmentReport, Error, Item};

/// What the two endpoints have in common: the body, and a report that failed answers keep as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
}

pub async fn insert(
    State(state): State<AppState>,
    caller: CalledBy,
    upload: Result<Upload, ApiError>,
) -> Response {
    enrol(state, caller, upload, Kind::Insert).await
}

pub async fn update(
    State(state): State<AppState>,
    caller: CalledBy,
    upload: Result<Upload, ApiError>,
) -> Response {
    enrol(state, caller, upload, Kind::Update).await
}

pub async fn delete_id(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    // Whoever means a single face must not lose the whole person.
    for field in ["index", "face_index", "feature_id"] {
        if fields.has(field) {
            return Err(ApiError::parameter(format!(
                "{field}: that is /delete/face (collection_name, target_id, index); /delete/id deletes the whole person"
            )));
        }
    }
    let collection = fields.string("collection_name")?;
    let target = fields.string("target_id")?;
    caller.may_change(&state, &collection)?;
    let remark = (state.engine)
        .remove_target(collection.clone(), target)
        .await?;
    let erased_within = state.engine.erased_within(&collection);
    Ok(Answer::new("status", "Delete target_id successfully!")
        .erased_within(erased_within)
        .detail(remark))
}

pub async fn delete_face(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let target = fields.string("target_id")?;
    let index = fields.index("index")?;
    caller.may_change(&state, &collection)?;
    let left = (state.engine)
        .remove_face(collection.clone(), target, index)
        .await?;
    Ok(Answer::new("status", "Delete face successfully!")
        .with("feature_num", left)
        .erased_within(state.engine.erased_within(&collection)))
}

async fn enrol(
    state: AppState,
    caller: CalledBy,
    upload: Result<Upload, ApiError>,
    kind: Kind,
) -> Response {
    let fields = upload.map(|Upload(fields)| fields);
    // What is wrong with a field is said below; the lists of the other one are there all the same.
    let flag = |name| (fields.as_ref()).is_ok_and(|fields| fields.flag(name).unwrap_or(false));
    let wanted = Asked {
        duplicates: flag("duplicates"),
        disagreements: flag("disagreements"),
        skip_identical: flag("skip_identical"),
    };
    let doubts = state.engine.nothing_doubtful(wanted);
    let already = (kind == Kind::Insert && state.engine.skips_identical(wanted)).then(Vec::new);
    let outcome = async {
        let fields = fields?;
        let (collection, items) = batch(&fields)?;
        let asked = Asked {
            duplicates: fields.flag("duplicates")?,
            disagreements: fields.flag("disagreements")?,
            skip_identical: fields.flag("skip_identical")?,
        };
        caller.may_change(&state, &collection)?;
        Ok(match kind {
            Kind::Insert => state.engine.insert(collection, items, asked).await?,
            Kind::Update => state.engine.update(collection, items, asked).await?,
        })
    };
    match outcome.await {
        Ok(report) => answer(report, kind),
        Err(error) => {
            let error: ApiError = error;
            let nothing = EnrolmentReport {
                doubts,
                already,
                ..EnrolmentReport::default()
            };
            error
                .with_fields(report_fields(&nothing, kind))
                .into_response()
        }
    }
}

fn batch(fields: &Fields) -> Result<(String, Vec<Item>), ApiError> {
    let collection = fields.string("collection_name")?;
    let pictures = fields.pictures("face_image")?;
    let targets = fields.strings("target_id")?;
    if pictures.len() != targets.len() {
        return Err(ApiError::parameter(format!(
            "face_image has {} entries and target_id {}: one target_id a picture is expected",
            pictures.len(),
            targets.len()
        )));
    }
    let items = (targets.into_iter().zip(pictures))
        .map(|(target, picture)| Item { target, picture })
        .collect();
    Ok((collection, items))
}

fn answer(report: EnrolmentReport, kind: Kind) -> Response {
    let fields = report_fields(&report, kind);
    let detail = remarks(&report);
    if let Some(code) = report.failure() {
        let code = match (code, kind) {
            (Code::Internal, Kind::Update) => Code::UpdateFailed,
            (code, _) => code,
        };
        let error = Error { code, detail };
        return ApiError::from(error).with_fields(fields).into_response();
    }
    let status = match kind {
        Kind::Insert => "Add vectors successfully!",
        Kind::Update => "Update vectors successfully!",
    };
    let mut answer = Answer::new("status", status).detail(detail);
    for (name, value) in fields {
        answer = answer.with(&name, value);
    }
    answer.into_response()
}

fn report_fields(report: &EnrolmentReport, kind: Kind) -> Map<String, Value> {
    let ids: Vec<&str> = report
        .rejected
        .iter()
        .map(|(_, id, _)| id.as_str())
        .collect();
    let indexes: Vec<usize> = report.rejected.iter().map(|(index, ..)| *index).collect();
    let mut fields = Map::new();
    let mut field = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    field("success_num", json!(report.successes()));
    field(
        "invalid",
        json!({
            "invalid_num": ids.len(),
            "message": {"invalid_id": ids, "invalid_index": indexes},
        }),
    );
    field("quota_exceeded_target_id", json!(report.quota_exceeded));
    if kind == Kind::Update {
        field("target_invalid", json!(report.unknown_targets));
    }
    if let Some(already) = &report.already {
        let rows =
            (already.iter()).map(|(index, target)| json!({"index": index, "target_id": target}));
        field("already_enrolled", rows.collect());
    }
    fields.extend(doubt_fields(&report.doubts));
    fields
}

/// Only what somebody wanted to know.
fn doubt_fields(doubts: &Doubts) -> Map<String, Value> {
    let mut fields = Map::new();
    if let Some(found) = &doubts.duplicates {
        let rows = (found.iter())
            .map(|row| json!({"index": row.index, "target_id": row.target, "result": row.other, "score": row.score}));
        fields.insert("duplicates".into(), rows.collect());
    }
    if let Some(found) = &doubts.disagreements {
        let rows = (found.iter())
            .map(|row| json!({"index": row.index, "target_id": row.target, "score": row.score}));
        fields.insert("disagreements".into(), rows.collect());
    }
    fields
}

/// Why each refused picture was refused, and which pictures showed several faces.
fn remarks(report: &EnrolmentReport) -> Option<String> {
    let refused = (report.rejected.iter())
        .map(|(index, _, why)| format!("face_image[{index}]: {}", why.reason()));
    let several = (report.several_faces.iter()).map(|(index, faces)| {
        format!("face_image[{index}]: {faces} faces were seen, the largest was used")
    });
    let about_doubts = report.doubts.remark.iter().cloned();
    let all: Vec<String> = refused.chain(several).chain(about_doubts).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
