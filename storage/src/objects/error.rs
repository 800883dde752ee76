//! Errors of object stores as users should read them: the store's own code and message, and the id of the request.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::Error;
use serde::Deserialize;

use crate::error::StorageError;

/// Maximum length of the text of a store in an error, in characters.
const TEXT_CHARS_MAX: usize = 400;

/// Body of an error response of S3, GCS and Azure.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    request_id: String,
}

/// Returns a function that converts an error of an operation.
pub(super) fn failed<'a>(
    action: &'static str,
    location: &'a str,
) -> impl FnOnce(Error) -> StorageError + use<'a> {
    move |error| convert(action, location, &error)
}

/// Converts an error. That the bucket does not exist is not that an object does not exist.
pub(super) fn convert(action: &'static str, location: &str, error: &Error) -> StorageError {
    let text = text_of(error);
    let body = body_of(&text);
    let kind = match error {
        Error::NotFound { .. } if body.as_ref().is_some_and(|body| body.code == "NoSuchBucket") => {
            ErrorKind::Other
        }
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } | Error::Precondition { .. } => ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    StorageError::io(action, location, io::Error::new(kind, described(&text, body)))
}

/// Returns the text of an error with those that caused it.
fn text_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Returns the error response in the text of an error.
fn body_of(text: &str) -> Option<ErrorBody> {
    let start = text.find("<?xml").or_else(|| text.find("<Error"))?;
    quick_xml::de::from_str(text.get(start..)?.trim_end()).ok()
}

fn described(text: &str, body: Option<ErrorBody>) -> String {
    let Some(body) = body else {
        // The address of the request is known from the location.
        let reason = text.split_once(" - ").map_or(text, |(_, reason)| reason);
        return shortened(reason);
    };
    let hint = match body.code.as_str() {
        "NoSuchBucket" => "; create the bucket first",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => "; check the access key and its secret",
        "AccessDenied" => "; check the access key, its secret and its rights",
        "AuthorizationHeaderMalformed" | "PermanentRedirect" => "; check the region of the bucket",
        "RequestTimeTooSkewed" => "; check the clock of this machine",
        _ => "",
    };
    let request =
        if body.request_id.is_empty() { String::new() } else { format!(" (request {})", body.request_id) };
    let message =
        if body.message.is_empty() { String::new() } else { format!(": {}", shortened(&body.message)) };
    format!("the store answers {}{message}{request}{hint}", shortened(&body.code))
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> Error {
        let source = format!("Error performing GET http://h/b/k in 2ms - Server returned 403: {body}").into();
        Error::PermissionDenied { path: "k".to_owned(), source }
    }

    #[test]
    fn an_error_has_the_code_the_message_and_the_request_of_the_store() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>InvalidAccessKeyId</Code>\
            <BucketName>b</BucketName><RequestId>tx1</RequestId><HostId>h</HostId></Error>";
        let converted = convert("read", "s3://b/k", &error(body)).to_string();
        assert_eq!(
            converted,
            "cannot read `s3://b/k`: the store answers InvalidAccessKeyId (request tx1); check the access key and \
             its secret"
        );
        let converted = convert("read", "s3://b/k", &error("plain")).to_string();
        assert_eq!(converted, "cannot read `s3://b/k`: Server returned 403: plain");
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        let missing = |code: &str| {
            let source = format!("… - 404: <Error><Code>{code}</Code></Error>").into();
            convert("read", "s3://b/k", &Error::NotFound { path: "k".to_owned(), source })
        };
        assert!(matches!(missing("NoSuchKey"), StorageError::NotFound(_)));
        assert!(matches!(missing("NoSuchBucket"), StorageError::Io { .. }));
    }
}
