//! Which file of a crate names which: as the compiler resolves `use`, paths and re-exports, as far as
//! [`tidy`](crate::tidy) needs it. A re-export leads to the file that defines the item, and is no
//! arrow itself; neither is the declaration of a module.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// From each file to those whose names it uses.
pub(crate) type Arrows = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
    /// Every name in its code, imports apart.
    names: BTreeSet<String>,
}

struct Import {
    path: Vec<String>,
    /// What it is called here; `*` for all names.
    name: String,
    is_public: bool,
}

/// The modules of one crate; the first is its root.
struct Tree(Vec<Module>);

/// The arrows of every crate: of each `lib.rs` and `main.rs` with the files that they declare.
pub(crate) fn arrows(sources: &[Source]) -> Arrows {
    let code: BTreeMap<_, _> = sources.iter().map(|it| (&*it.path, &*it.code)).collect();
    let mut arrows = Arrows::new();
    let is_root = |path: &&&str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    for root in code.keys().filter(is_root) {
        let mut tree = Tree(vec![Module { file: (*root).to_owned(), ..Module::default() }]);
        tree.read(0, root.rsplit_once('/').unwrap().0, &code);
        for (from, to) in tree.arrows() {
            arrows.entry(from).or_default().insert(to);
        }
    }
    arrows
}

/// The shortest way from each file back to itself, each circle once.
pub(crate) fn circles(arrows: &Arrows) -> BTreeSet<Vec<String>> {
    let mut circles: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
    for start in arrows.keys() {
        let mut seen = BTreeSet::new();
        let mut ways = std::collections::VecDeque::from([vec![start.clone()]]);
        while let Some(way) = ways.pop_front() {
            let next = arrows.get(way.last().unwrap()).into_iter().flatten();
            if next.clone().any(|it| it == start) {
                circles.entry(way.iter().cloned().collect()).or_insert(way);
                break;
            }
            for next in next.filter(|it| seen.insert(*it)) {
                ways.push_back([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    circles.into_values().collect()
}

impl Tree {
    /// Reads a module's file; `folder` is where its children are.
    fn read(&mut self, at: usize, folder: &str, code: &BTreeMap<&str, &str>) {
        let tokens = tokens(code[&*self.0[at].file]);
        // The modules that are open, each with the depth of its braces.
        let (mut open, mut depth) = (vec![(at, 0, folder.to_owned())], 0);
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            let next = |ahead: usize| tokens.get(index + ahead).copied().unwrap_or_default();
            let (module, outer, folder) = open.last().cloned().unwrap();
            match *token {
                "use" if next(1) != "<" => {
                    let end = index + tokens[index..].iter().position(|it| *it == ";").unwrap();
                    let before = &tokens[index.saturating_sub(4)..index];
                    let is_public = before.last() == Some(&"pub")
                        || before.last() == Some(&")") && before.contains(&"pub");
                    let mut rest = tokens[index + 1..end].iter().copied().peekable();
                    members(&mut rest, &[], &mut |path, name| {
                        self.0[module].imports.push(Import { path, name, is_public });
                    });
                    index = end;
                }
                "mod" if next(2) == ";" || next(2) == "{" => {
                    let folder = format!("{folder}/{}", next(1));
                    let inline = next(2) == "{";
                    let files = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
                    let file = files.into_iter().find(|it| code.contains_key(&**it));
                    let file = if inline { Some(self.0[module].file.clone()) } else { file };
                    // A file that is not there belongs to tests.
                    if let Some(file) = file {
                        let child = self.0.len();
                        self.0.push(Module { file, parent: module, ..Module::default() });
                        self.0[module].children.insert(next(1).to_owned(), child);
                        if inline {
                            depth += 1;
                            open.push((child, depth, folder));
                        } else {
                            self.read(child, &folder, code);
                        }
                    }
                    index += 2;
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if depth < outer {
                        open.pop();
                    }
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "union" | "const" | "static"
                | "macro_rules"
                    if depth == outer =>
                {
                    let name = (1..4).map(next).find(|it| is_name(it) && *it != "mut");
                    self.0[module].items.extend(name.map(str::to_owned));
                }
                token if is_name(token) => {
                    let mut path = vec![token.to_owned()];
                    self.0[module].names.insert(token.to_owned());
                    if index == 0 || !matches!(tokens[index - 1], "::" | ".") {
                        while tokens.get(index + 1) == Some(&"::")
                            && tokens.get(index + 2).is_some_and(|it| is_name(it))
                        {
                            path.push(tokens[index + 2].to_owned());
                            index += 2;
                        }
                    }
                    if path.len() > 1 {
                        self.0[module].paths.push(path);
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }

    fn arrows(&self) -> Vec<(String, String)> {
        let mut arrows = Vec::new();
        for (at, module) in self.0.iter().enumerate() {
            let in_use = |it: &&Import| !it.is_public || module.names.contains(&it.name);
            let imports = module.imports.iter().filter(in_use).map(|it| &it.path);
            for path in imports.chain(&module.paths) {
                if let Some(file) = self.resolve(at, path, 0).filter(|it| *it != module.file) {
                    arrows.push((module.file.clone(), file.to_owned()));
                }
            }
        }
        arrows
    }

    /// The file that defines what this path names; none for another crate's.
    fn resolve(&self, at: usize, path: &[String], depth: usize) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        match &**first {
            "crate" => self.within(0, rest, depth),
            "self" => self.within(at, rest, depth),
            "super" => self.within(self.0[at].parent, rest, depth),
            _ if self.finds(at, first) => self.within(at, path, depth),
            _ => None,
        }
    }

    fn finds(&self, at: usize, name: &str) -> bool {
        let module = &self.0[at];
        let imported = || module.imports.iter().any(|it| it.name == name);
        module.children.contains_key(name) || module.items.contains(name) || imported()
    }

    fn within(&self, at: usize, path: &[String], depth: usize) -> Option<&str> {
        let module = &self.0[at];
        let Some((name, rest)) = path.split_first().filter(|_| depth < 16) else {
            return Some(&module.file);
        };
        if name == "super" {
            return self.within(module.parent, rest, depth);
        }
        if let Some(child) = module.children.get(name) {
            return self.within(*child, rest, depth);
        }
        if module.items.contains(name) {
            return Some(&module.file);
        }
        if let Some(import) = module.imports.iter().find(|it| it.name == *name) {
            return self.resolve(at, &[&import.path, rest].concat(), depth + 1);
        }
        let globs = module.imports.iter().filter(|it| it.name == "*");
        let mut found = globs.filter_map(|it| {
            let path = [&it.path[..], path].concat();
            self.resolve(at, &path, depth + 1)
                .filter(|file| self.0.iter().any(|it| it.file == **file && it.items.contains(name)))
        });
        // A macro's name, at the root; an item that a macro made, elsewhere.
        found.next().or((at > 0).then_some(&module.file))
    }
}

/// Walks over a `use`'s tree.
fn members<'a>(
    tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    prefix: &[String],
    found: &mut impl FnMut(Vec<String>, String),
) {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.next() {
        match token {
            "{" => {
                while tokens.next_if_eq(&"}").is_none() && tokens.peek().is_some() {
                    members(tokens, &path, found);
                    tokens.next_if_eq(&",");
                }
                return;
            }
            "::" => {}
            "*" => return found(path, "*".to_owned()),
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        if tokens.next_if_eq(&"as").is_some() {
            return found(path, tokens.next().unwrap_or_default().to_owned());
        }
        if matches!(tokens.peek(), None | Some(&("," | "}"))) {
            let name = path.last().cloned().unwrap_or_default();
            return found(path, name);
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// Names, `::`, and every other sign alone.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let of_name = |sign: char| sign.is_alphanumeric() || sign == '_';
        let length = match first {
            _ if of_name(first) => rest.find(|sign| !of_name(sign)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn a_circle_is_found_through_a_reexport() {
    let house = |of_b: &str| {
        let files = [
            ("x/src/lib.rs", "mod a; mod room; pub use a::A; pub use room::B;"),
            ("x/src/a.rs", "use crate::room::{B, C as D}; pub struct A(B); mod inner {}"),
            ("x/src/room/mod.rs", "mod b; mod c; pub(crate) use b::B; pub use self::c::*;"),
            ("x/src/room/b.rs", of_b),
            ("x/src/room/c.rs", "pub struct C; #[cfg(test)] mod tests { use crate::A; }"),
        ];
        let sources = files.map(|(path, text)| Source::new(path, text.to_owned()));
        arrows(&sources)
    };
    let found = |text| Vec::from_iter(circles(&house(text)));
    let circle = [["x/src/a.rs".to_owned(), "x/src/room/b.rs".to_owned()].to_vec()];
    assert_eq!(found("use crate::A; pub struct B;"), circle);
    assert_eq!(found("pub struct B; fn f() { crate::a::A::new() }"), circle);
    assert_eq!(found("pub struct B; fn f() { super::super::a::g() }"), circle);
    assert_eq!(found("use other::{a::A}; pub struct B; // crate::A"), [[""; 0]; 0]);
    let to = &house("pub struct B;")["x/src/a.rs"];
    assert_eq!(Vec::from_iter(to), ["x/src/room/b.rs", "x/src/room/c.rs"]);
    assert!(!house("pub struct B;").contains_key("x/src/room/mod.rs"));
}
