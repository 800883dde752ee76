//! Repetition of changes that lost a race. It knows neither the changes nor their errors.

/// Computes a change again, from its first read, while concurrent changes are faster: while the error, of type
/// `$error`, says of itself that `is_lost_race()`, at most `$attempts_max` times altogether. Evaluates to the
/// result of the last attempt.
///
/// (A function would need an async closure, whose futures cannot be shown to be `Send` yet.)
macro_rules! retrying {
    ($error:ty, $attempts_max:expr, $attempt:expr) => {{
        let mut attempts: usize = 0;
        loop {
            attempts += 1;
            let result: Result<_, $error> = $attempt.await;
            match result {
                Err(error) if error.is_lost_race() && attempts < $attempts_max => {}
                result => break result,
            }
        }
    }};
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    #[derive(Debug, PartialEq)]
    enum Race {
        Lost,
        Refused,
    }

    impl Race {
        fn is_lost_race(&self) -> bool {
            *self == Self::Lost
        }
    }

    /// Returns the result and the number of attempts of a change that loses `lost` races and then has `result`.
    async fn run(lost: usize, result: Result<(), Race>) -> (Result<(), Race>, usize) {
        let attempts = Cell::new(0);
        let result = Cell::new(Some(result));
        let outcome = retrying!(Race, 3, async {
            attempts.set(attempts.get() + 1);
            if attempts.get() > lost { result.take().unwrap() } else { Err(Race::Lost) }
        });
        (outcome, attempts.get())
    }

    #[tokio::test]
    async fn a_lost_race_is_repeated_up_to_the_limit() {
        assert_eq!(run(0, Ok(())).await, (Ok(()), 1));
        assert_eq!(run(2, Ok(())).await, (Ok(()), 3));
        assert_eq!(run(3, Ok(())).await, (Err(Race::Lost), 3));
    }

    #[tokio::test]
    async fn another_error_is_not_repeated() {
        assert_eq!(run(1, Err(Race::Refused)).await, (Err(Race::Refused), 2));
    }
}
