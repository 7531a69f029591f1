//! The one error type at the engine's edge.

use std::fmt;

use crate::gallery::GalleryError;

/// Every way an operation fails, with its number in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Database,
    CollectionQuota,
    InvalidCollectionName,
    CollectionExists,
    /// Clear, delete or status of a collection that does not exist.
    CheckCollectionName,
    /// A face operation on a collection that does not exist.
    UnknownCollection,
    TargetQuota,
    UpdateFailed,
    NoFace,
    InvalidImage,
    InvalidParameter,
    Unlicensed,
    UnknownTarget,
    PresentationAttack,
    LowQuality,
    AlreadyEnrolled,
    Busy,
    AuthenticationRequired,
    Internal,
}

impl Code {
    /// `err_code` of the API.
    pub fn number(self) -> u16 {
        match self {
            Code::Database => 1001,
            Code::CollectionQuota => 1002,
            Code::InvalidCollectionName => 1003,
            Code::CollectionExists => 1004,
            Code::CheckCollectionName => 1005,
            Code::UnknownCollection => 1006,
            Code::TargetQuota => 1007,
            Code::UpdateFailed => 1008,
            Code::NoFace => 1009,
            Code::InvalidImage => 1010,
            Code::InvalidParameter => 1011,
            Code::Unlicensed => 1012,
            Code::UnknownTarget => 1013,
            Code::Busy => 1014,
            Code::AuthenticationRequired => 1015,
            Code::PresentationAttack => 1016,
            Code::LowQuality => 1017,
            Code::AlreadyEnrolled => 1018,
            Code::Internal => 500,
        }
    }

    /// `status` of the API.
    pub fn message(self) -> &'static str {
        match self {
            Code::Database => "Database error",
            Code::CollectionQuota => "Collection quota exceeded",
            Code::InvalidCollectionName => "Invalid collection name",
            Code::CollectionExists => "Collection already exists",
            Code::CheckCollectionName => "Please check collection name",
            Code::UnknownCollection => "Collection does not exist",
            Code::TargetQuota => "Target_id quota exceeded",
            Code::UpdateFailed => "Update vectors unsuccessfully",
            Code::NoFace => "No face detected",
            Code::InvalidImage => "Invalid image",
            Code::InvalidParameter => "Invalid parameter",
            Code::Unlicensed => "License not authorized",
            Code::UnknownTarget => "Target_id does not exist",
            Code::Busy => "Server busy",
            Code::AuthenticationRequired => "Authentication required",
            Code::PresentationAttack => "Presentation attack suspected",
            Code::LowQuality => "Face quality too low",
            Code::AlreadyEnrolled => "Face already enrolled",
            Code::Internal => "Internal server error",
        }
    }
}

/// A code and, where it helps, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    /// Which field or picture, and what was expected.
    pub detail: Option<String>,
}

impl Error {
    pub fn new(code: Code) -> Error {
        Error { code, detail: None }
    }

    /// The same about a field of the request.
    pub fn about(self, field: &str) -> Error {
        let detail = self.detail.as_deref().unwrap_or(self.code.message());
        let detail = format!("{field}: {detail}");
        self.with(detail)
    }

    /// The same with a sentence.
    pub fn with(self, detail: impl Into<String>) -> Error {
        Error {
            detail: Some(detail.into()),
            ..self
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code.message(), self.code.number())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<GalleryError> for Error {
    fn from(e: GalleryError) -> Error {
        let code = match e {
            GalleryError::CollectionQuota { .. } => Code::CollectionQuota,
            GalleryError::CollectionExists { .. } => Code::CollectionExists,
            GalleryError::UnknownCollection { .. } => Code::UnknownCollection,
            GalleryError::UnknownTarget { .. } => Code::UnknownTarget,
            GalleryError::BatchTooLarge { .. }
            | GalleryError::NoSuchFeature { .. }
            | GalleryError::TargetExists { .. } => Code::InvalidParameter,
            GalleryError::TooManyFeatures { .. } => Code::TargetQuota,
            _ => Code::Database,
        };
        if code == Code::Database {
            tracing::error!("gallery: {e}");
        }
        Error::new(code).with(e.to_string())
    }
}
