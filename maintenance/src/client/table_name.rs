//! Name of a table as users write it and as requests contain it. Nothing here asks a catalog.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::ClientError;

/// Name of a table, with its warehouse and the levels of its namespace.
#[derive(Debug, Clone)]
pub struct TableName {
    /// Name of the warehouse.
    pub warehouse: String,
    namespace: Vec<String>,
    table: String,
}

impl TableName {
    /// Creates the name of a table from its parts.
    pub fn new(warehouse: String, namespace: Vec<String>, table: String) -> TableName {
        TableName { warehouse, namespace, table }
    }

    /// Parses `warehouse.namespace.table`. Levels may be in double quotes, with a quote inside doubled.
    ///
    /// ```text
    /// main.sales.orders    warehouse main, namespace sales, table orders
    /// main.a."b.c".t       warehouse main, namespace levels a and b.c, table t
    /// ```
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if there are fewer than three levels, if one of them is empty, or if
    /// a double quote is not closed.
    pub fn parse(text: &str) -> Result<TableName, ClientError> {
        let mut levels = vec![String::new()];
        let mut quoted = false;
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            let Some(level) = levels.last_mut() else { break };
            match next {
                '"' if quoted && rest.peek() == Some(&'"') => {
                    level.push('"');
                    rest.next();
                }
                '"' => quoted = !quoted,
                '.' if !quoted => levels.push(String::new()),
                other => level.push(other),
            }
        }
        if quoted {
            return Err(ClientError::Name(format!("`{text}` has an unterminated double quote")));
        }
        if levels.len() < 3 || levels.iter().any(String::is_empty) {
            return Err(ClientError::Name(format!(
                "`{text}` is not a table name; write `warehouse.namespace.table`, as in `main.sales.orders`"
            )));
        }
        let table = levels.pop().unwrap_or_default();
        Ok(TableName { warehouse: levels.remove(0), namespace: levels, table })
    }

    /// Returns the name as query parameters of the governance API.
    pub(crate) fn query(&self) -> String {
        let (warehouse, table) = (encode(&self.warehouse), encode(&self.table));
        format!("warehouse={warehouse}&namespace={}&table={table}", encode(&self.namespace.join("\u{1f}")))
    }

    /// Returns the path of the table below the prefix of its warehouse.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if the namespace or the table is named `.` or `..`: in a URL these are
    /// steps, even if they are percent-encoded, and the request would reach another path.
    pub(super) fn path(&self) -> Result<String, ClientError> {
        let namespace = self.namespace.join("\u{1f}");
        for name in [&namespace, &self.table] {
            if matches!(name.as_str(), "." | "..") {
                return Err(ClientError::Name(format!(
                    "`{name}` cannot be part of a URL; rename the namespace or table with another client"
                )));
            }
        }
        Ok(format!("namespaces/{}/tables/{}", encode(&namespace), encode(&self.table)))
    }
}

/// Percent-encodes a value for a path or a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_levels() {
        for (text, expected) in [
            ("main.a.t", "main|a|t"),
            ("main.a.b.t", "main|a,b|t"),
            ("main.\"a.b\".\"t\"\"1\"", "main|a.b|t\"1"),
        ] {
            let name = TableName::parse(text).unwrap();
            assert_eq!(format!("{}|{}|{}", name.warehouse, name.namespace.join(","), name.table), expected);
        }
        for text in ["", "t", "a.t", "main..t", "main.a.", "main.\"a.t"] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_a_step_in_a_path_is_refused() {
        for text in ["main.\".\".t", "main.\"..\".t", "main.a.\"..\""] {
            assert!(TableName::parse(text).unwrap().path().is_err(), "{text}");
        }
        assert_eq!(
            TableName::parse("main.\"..\".b.t").unwrap().path().unwrap(),
            "namespaces/%2E%2E%1Fb/tables/t"
        );
    }
}
