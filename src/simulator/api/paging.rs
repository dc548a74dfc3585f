//! Lists of the carrier's API: pages that a client follows by `next_page_uri` until it is null.

use serde_json::{Value, json};

use crate::simulator::refusal::Refusal;
use crate::simulator::send::{Form, field};

/// The size of a page when none is asked for.
const PAGE_SIZE: usize = 50;
/// The largest page.
const PAGE_SIZE_MAX: usize = 1_000;

/// Which page of a list is wanted.
pub struct Paging {
    size: usize,
    page: usize,
    /// The id of the last item of the page before.
    after: Option<String>,
    path: String,
    /// What the client filters by.
    filters: Form,
}

impl Paging {
    /// Reads the query of a request to `path`.
    pub fn read(path: String, query: Form) -> Result<Self, Refusal> {
        let bad = |name: &str| Refusal::bad(20001, format!("{name} is not a valid number"));
        let size = match field(&query, "PageSize") {
            Some(text) => text.parse().map_err(|_| bad("PageSize"))?,
            None => PAGE_SIZE,
        };
        let page = match field(&query, "Page") {
            Some(text) => text.parse().map_err(|_| bad("Page"))?,
            None => 0,
        };
        let after = field(&query, "PageToken").and_then(|token| token.strip_prefix("PA")).map(str::to_owned);
        let filters = query
            .into_iter()
            .filter(|(key, _)| !matches!(key.as_str(), "PageSize" | "Page" | "PageToken"))
            .collect();
        Ok(Paging { size: size.clamp(1, PAGE_SIZE_MAX), page, after, path, filters })
    }

    /// A filter's value.
    pub fn filter(&self, name: &str) -> Option<&str> {
        field(&self.filters, name)
    }

    /// Takes the page out of the filtered items and writes it as the member `name`.
    pub fn render<'a, T: 'a>(
        &self,
        name: &str,
        items: impl Iterator<Item = &'a T>,
        id: impl Fn(&T) -> &str,
        show: impl Fn(&T) -> Value,
    ) -> Value {
        let id = &id;
        let mut items: Box<dyn Iterator<Item = &'a T> + '_> = match &self.after {
            Some(after) => Box::new(items.skip_while(move |item| id(item) != after).skip(1)),
            None => Box::new(items.skip(self.page.saturating_mul(self.size))),
        };
        let taken: Vec<&T> = items.by_ref().take(self.size).collect();
        let last = taken.last().map(|item| id(item)).filter(|_| items.next().is_some());
        let start = self.page.saturating_mul(self.size);
        json!({
            "end": (start + taken.len()).saturating_sub(1),
            "first_page_uri": self.uri(0, None),
            "next_page_uri": last.map(|last| self.uri(self.page + 1, Some(last))),
            "page": self.page,
            "page_size": self.size,
            "previous_page_uri": self.page.checked_sub(1).map(|page| self.uri(page, None)),
            "start": start,
            "uri": self.uri(self.page, self.after.as_deref()),
            name: taken.into_iter().map(show).collect::<Vec<_>>(),
        })
    }

    fn uri(&self, page: usize, after: Option<&str>) -> String {
        let mut query = self.filters.clone();
        query.push(("PageSize".to_owned(), self.size.to_string()));
        query.push(("Page".to_owned(), page.to_string()));
        if let Some(after) = after {
            query.push(("PageToken".to_owned(), format!("PA{after}")));
        }
        format!("{}?{}", self.path, serde_urlencoded::to_string(query).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let items: Vec<String> = (0..5).map(|n| format!("x{n}")).collect();
        let mut query: Form =
            vec![("PageSize".to_owned(), "2".to_owned()), ("To".to_owned(), "+1".to_owned())];
        let mut seen = Vec::new();
        for _ in 0..3 {
            let paging = Paging::read("/list.json".to_owned(), query.clone()).unwrap();
            assert_eq!(paging.filter("To"), Some("+1"));
            let page = paging.render("items", items.iter(), |item| item, |item| json!(item));
            seen.extend(
                page["items"].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_page_uri"].as_str() else { break };
            query = serde_urlencoded::from_str(next.split_once('?').unwrap().1).unwrap();
        }
        assert_eq!(seen, items);
        assert!(Paging::read(String::new(), vec![("PageSize".to_owned(), "x".to_owned())]).is_err());
    }
}
