//! Pagination: each entry exactly once, in the order of bytes, also if entries are added meanwhile.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::fixture::{self, ODD_NAMES, tables, views};
use tests::http::{Client, encode};
use tests::process::{self, Backend, Firn, Setup};

/// Reads a list to its end, and returns the entries of each page.
async fn read_pages(client: &Client, list: &str, field: &str, size: usize) -> Vec<Vec<Value>> {
    let joint = if list.contains('?') { '&' } else { '?' };
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("{list}{joint}pageToken={}&pageSize={size}", encode(&token));
        let page = client.get(&path).await.expect(200).json();
        let entries = page[field].as_array().unwrap().clone();
        assert!(entries.len() <= size);
        pages.push(entries);
        match page["next-page-token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return pages,
        }
    }
}

fn names(pages: &[Vec<Value>]) -> Vec<String> {
    pages.iter().flatten().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

async fn pages_together_are_the_whole_list(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mut expected: Vec<_> = ODD_NAMES.iter().map(ToString::to_string).collect();
    expected.sort_unstable();
    for name in &expected {
        fixture::create_table(firn, &ns, name).await;
        firn.post(&views(&ns), &fixture::view(&format!("v{name}"), "select 1")).await.expect(200);
        firn.post("namespaces", &json!({ "namespace": [ns, name] })).await.expect(200);
    }
    for size in [1, 7, expected.len() - 1, expected.len(), expected.len() + 1] {
        let pages = read_pages(firn, &tables(&ns), "identifiers", size).await;
        assert_eq!(names(&pages), expected, "{size}");
        assert!(pages.iter().all(|page| !page.is_empty()), "an empty page with {size}");
        let of_views: Vec<_> = expected.iter().map(|name| format!("v{name}")).collect();
        assert_eq!(names(&read_pages(firn, &views(&ns), "identifiers", size).await), of_views);
        let of_namespaces =
            read_pages(firn, &format!("namespaces?parent={}", encode(&ns)), "namespaces", size).await;
        let of_namespaces: Vec<_> =
            of_namespaces.iter().flatten().map(|levels| levels[1].as_str().unwrap().to_owned()).collect();
        assert_eq!(of_namespaces, expected);
    }
    let whole = firn.get(&tables(&ns)).await.expect(200).json();
    assert_eq!(whole["identifiers"].as_array().unwrap().len(), expected.len());
    assert_eq!(whole["next-page-token"], Value::Null);
}

async fn every_entry_is_listed_once_while_others_are_added_and_dropped(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let permanent: BTreeSet<_> = (0..40).map(|number| format!("m{:02}", number * 2)).collect();
    for name in &permanent {
        fixture::create_table(firn, &ns, name).await;
    }
    let writer = tokio::spawn({
        let (client, ns) = ((**firn).clone(), ns.clone());
        async move {
            for number in 0..40 {
                let name = format!("m{:02}", ((number * 2 + 1) * 37) % 80);
                client.post(&tables(&ns), &fixture::table(&name)).await;
                if number % 3 == 0 {
                    client.delete(&fixture::table_path(&ns, &name)).await;
                }
            }
        }
    });
    let mut rounds = 0;
    while !writer.is_finished() || rounds == 0 {
        let listed = names(&read_pages(firn, &tables(&ns), "identifiers", 3).await);
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(listed, sorted, "an entry is listed twice or out of order");
        let missed: Vec<_> = permanent.iter().filter(|name| !listed.contains(name)).collect();
        assert!(missed.is_empty(), "missed {missed:?}");
        rounds += 1;
    }
    writer.await.unwrap();
}

async fn an_invalid_page_token_is_400(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for list in [tables(&ns), views(&ns), "namespaces".to_owned()] {
        for token in ["AQA", "x", "!!!!", "AAAA", "%00", "eyJhIjoxfQ", "Av_-", "%F0%9F%98%80"] {
            let reply = firn.get(&format!("{list}?pageToken={token}&pageSize=2")).await;
            reply.expect_error(400, "BadRequestException", "Invalid pageToken");
        }
        for size in ["0", "-1", "x", "1.5", "99999999999999999999999"] {
            let reply = firn.get(&format!("{list}?pageSize={size}")).await;
            reply.expect_error(400, "BadRequestException", "Invalid pageSize");
        }
        firn.get(&format!("{list}?pageSize=4294967296")).await.expect(200);
        firn.get(&format!("{list}?pageSize=&pageToken=")).await.expect(200);
    }
}

async fn a_page_token_remains_valid_after_its_entry_is_dropped(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for name in ["a", "b", "c", "d"] {
        fixture::create_table(firn, &ns, name).await;
    }
    let page = firn.get(&format!("{}?pageSize=2", tables(&ns))).await.expect(200).json();
    let token = page["next-page-token"].as_str().unwrap().to_owned();
    firn.delete(&fixture::table_path(&ns, "b")).await.expect(204);
    let page = firn.get(&format!("{}?pageSize=9&pageToken={token}", tables(&ns))).await.expect(200).json();
    assert_eq!(names(&[page["identifiers"].as_array().unwrap().clone()]), ["c", "d"]);
}

tests::on_both_databases!(
    pages_together_are_the_whole_list,
    every_entry_is_listed_once_while_others_are_added_and_dropped,
    an_invalid_page_token_is_400,
    a_page_token_remains_valid_after_its_entry_is_dropped,
);

/// Pages are cached, so each replica has to detect the changes of the other one.
#[test]
fn every_replica_lists_changes_of_the_others() {
    process::run(async {
        let setup = Setup::new(Backend::Postgres).await;
        let (first, second) = (Firn::start(setup.clone()), Firn::start(setup));
        let ns = fixture::namespace(&first).await;
        let list = tables(&ns);
        let check = async |expected: &[&str]| {
            // Twice, because the second response comes from the cache.
            for client in [&first, &second, &first, &second] {
                assert_eq!(names(&read_pages(client, &list, "identifiers", 10).await), expected);
            }
        };
        check(&[]).await;
        fixture::create_table(&first, &ns, "a").await;
        check(&["a"]).await;
        fixture::create_table(&second, &ns, "b").await;
        check(&["a", "b"]).await;
        let name = |name: &str| json!({ "namespace": [ns], "name": name });
        let rename = json!({ "source": name("a"), "destination": name("c") });
        first.post("tables/rename", &rename).await.expect(204);
        check(&["b", "c"]).await;
        second.delete(&format!("{list}/b")).await.expect(204);
        check(&["c"]).await;
    });
}
