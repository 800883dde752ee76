//! Pagination by opaque page tokens, which encode the key of the last entry of a page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::catalog::tabulars::page_cache::NamePage;

use super::error::ApiError;

/// Pagination parameters of a list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Token of the page to return: the `next-page-token` of the previous page, or empty for the first page.
    /// If absent, the list starts at the first entry; without a `pageSize` it is returned completely.
    page_token: Option<String>,
    /// Maximum number of entries to return.
    #[param(minimum = 1)]
    page_size: Option<String>,
}

/// Validated pagination parameters.
pub struct Page {
    /// Key after which the page starts (exclusive); `None` for the first page.
    pub after: Option<String>,
    /// Maximum number of entries; `None` for all.
    pub limit: Option<u32>,
}

/// Version of the token format, so that later formats can be distinguished.
const VERSION: u8 = 1;

impl PageParams {
    /// Validates the parameters. `entries_max` is the maximum page size, and the default of requests with a
    /// page token.
    ///
    /// # Errors
    ///
    /// Fails with 400 if the page size is not a number of at least 1 or the page token is invalid.
    pub fn decode(&self, entries_max: u32) -> Result<Page, ApiError> {
        let size = match self.page_size.as_deref() {
            None | Some("") => None,
            Some(text) => match text.parse::<u64>() {
                Ok(size) if size >= 1 => Some(u32::try_from(size).unwrap_or(u32::MAX).min(entries_max)),
                _ => {
                    return Err(ApiError::bad_request(format!(
                        "Invalid pageSize `{text}`: it must be a number of at least 1"
                    )));
                }
            },
        };
        match self.page_token.as_deref() {
            None => Ok(Page { after: None, limit: size }),
            Some("") => Ok(Page { after: None, limit: Some(size.unwrap_or(entries_max)) }),
            Some(token) => Ok(Page { after: Some(decode(token)?), limit: Some(size.unwrap_or(entries_max)) }),
        }
    }
}

impl Page {
    /// Returns the page of names to read.
    pub fn names(&self) -> NamePage<'_> {
        NamePage { after: self.after.as_deref(), limit: self.fetch_limit() }
    }

    /// Returns the number of entries to read: one more than the page size, to detect whether there is a next
    /// page.
    pub fn fetch_limit(&self) -> u32 {
        self.limit.map_or(u32::MAX, |limit| limit.saturating_add(1))
    }

    /// Returns the keys of the page, of which one more was read than the page has, and the token of the next
    /// page, if there is one.
    pub fn cut<'a>(&self, keys: &'a [String]) -> (&'a [String], Option<String>) {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        match keys.get(..limit) {
            Some(page) if keys.len() > limit => (page, page.last().map(|key| encode(key))),
            _ => (keys, None),
        }
    }
}

fn encode(key: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str) -> Result<String, ApiError> {
    let invalid = || {
        ApiError::bad_request("Invalid pageToken: send the `next-page-token` of an earlier page unchanged")
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    match bytes.split_first() {
        // No name contains a zero byte, and PostgreSQL rejects it.
        Some((&VERSION, key)) if !key.contains(&0) => String::from_utf8(key.to_vec()).map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_any_key_and_nothing_else_decodes() {
        for key in ["", "a", "ä/😀\u{1f}x"] {
            assert_eq!(decode(&encode(key)).unwrap(), key);
        }
        for token in ["x", "!!!", "AA", "Av8", "AQA"] {
            assert!(decode(token).is_err(), "{token}");
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = Page { after: None, limit: Some(2) };
        let keys = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(page.cut(&keys), (&keys[..2], Some(encode("b"))));
        assert_eq!(page.cut(&keys[1..]), (&keys[1..], None));
        assert_eq!(Page { after: None, limit: None }.cut(&keys), (&keys[..], None));
    }
}
