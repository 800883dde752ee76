//! Repetition of changes that lost a race. It knows neither the changes nor their errors.

/// Maximum number of attempts to compute a change because concurrent changes were faster.
pub const ATTEMPTS_MAX: usize = 32;

/// Computes a change again, from its first read, while concurrent changes are faster: while the error, of type
/// `$error`, says of itself that `is_lost_race()`. Evaluates to the result of the last attempt.
///
/// (A function would need an async closure, whose futures cannot be shown to be `Send` yet.)
macro_rules! retrying {
    ($error:ty, $attempt:expr) => {{
        let mut attempts = 0;
        loop {
            attempts += 1;
            let result: Result<_, $error> = $attempt.await;
            match result {
                Err(error) if error.is_lost_race() && attempts < $crate::retry::ATTEMPTS_MAX => {}
                result => break result,
            }
        }
    }};
}
