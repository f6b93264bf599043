//! The table `embedded`, with its mistakes.

use crate::sink::embedded::settings;

#[test]
fn settings_are_read_with_every_problem_at_its_line() {
    let text = "[a]\nindex = \"{table}\"\nmemory = \"32MiB\"\ndir = \"search\"\nstrict = { price = \"number\", \"maker.since\" = \"date\" }\n\
                [b]\nmemory = \"1MiB\"\nstrict = { price = \"int\" }\nindx = \"a\"\n[c]\n";
    let document: toml_edit::Document<&str> = toml_edit::Document::parse(text).unwrap();
    let source = crate::settings::Source::new(text, "/conf", &|_| None);
    let root = crate::settings::Section::root(&source, document.as_table());
    let read: Vec<_> = ["a", "b", "c"].iter().map(|name| format!("{:?}", settings::read(&root.section(name)))).collect();
    expect_test::expect![[r#"
        EmbeddedSinkSettings { index: Some("{table}"), dir: Some("/conf/search"), options: IndexOptions { memory_bytes: 33554432, strict: {"maker.since": Date, "price": Number} } }
        EmbeddedSinkSettings { index: None, dir: None, options: IndexOptions { memory_bytes: 67108864, strict: {} } }"#]].assert_eq(&format!("{}\n{}", read[0], read[2]));
    let problems: Vec<String> = source.problems().iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        line 7: b.memory must be from "16MiB" to less than "4GiB"
        line 8: b.strict knows "number", "date", "boolean" and "text": price is "int"
        line 9: b.indx is not a known key: did you mean `index`?"#]]
    .assert_eq(&problems.join("\n"));
}
