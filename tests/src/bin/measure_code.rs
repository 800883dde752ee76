//! Command that measures the workspace's own code: `cargo run -p tests --bin measure-code`, or with
//! `--list circles` the findings of a measure. It checks nothing; limits are checked by tests.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use tests::code::Workspace;
use tests::code::circles::Circle;
use tests::code::measures::{self, Circles, Docs, Findings, Names, Sizes};
use tests::code::source::Source;
use tests::code::stats::Share;

/// Width of the names of measures.
const LABEL_WIDTH: usize = 44;

/// Width of a crate's column.
const COLUMN_WIDTH: usize = 17;

/// Measures the workspace's own code: sizes, docs, names and circles of imports, for each shipped crate, for
/// all of them, and for the tests
#[derive(Parser)]
struct Options {
    /// Measure whose findings in the shipped crates are printed instead of the table
    #[arg(long, value_enum, ignore_case = true)]
    list: Option<Measure>,
    /// Checkout to measure [default: the one from which this program was built]
    #[arg(long)]
    root: Option<PathBuf>,
}

/// Measure whose findings can be listed.
#[derive(Clone, Copy, ValueEnum)]
enum Measure {
    /// Files of more than 500 lines
    Files,
    /// Functions of more than 70 lines
    Functions,
    /// Folders of more than 15 files
    Folders,
    /// Files without `//!`
    ModuleDocs,
    /// Public items without a doc comment
    Docs,
    /// Doc comments of at most four words
    ShortDocs,
    /// Doc comments that start with what, how, whether, where or who
    Questions,
    /// Doc comments without a link to an item
    Links,
    /// Public functions that return a `Result`, without a section `# Errors`
    Errors,
    /// Public functions that return a `Result`, whose doc does not mention failure
    Failures,
    /// Names of types, `pub` or `pub(…)`, that are declared more than once
    Names,
    /// Circles of imports between files
    Circles,
    /// Circles of imports between folders
    FolderCircles,
}

/// Column of the table.
struct Column {
    name: String,
    sizes: Sizes,
    docs: Docs,
    names: Names,
    circles: Circles,
    /// Lines of test items in the sources and of the tests beside them; `None` for the tests themselves.
    test_lines: Option<usize>,
}

impl Column {
    /// Measures sources; `tests` are the tests beside them, or `None` for tests themselves.
    fn new(name: &str, sources: &[&Source], tests: Option<&[&Source]>) -> Self {
        let sizes = measures::sizes(sources);
        let lines = |tests: &[&Source]| tests.iter().map(|source| source.lines).sum::<usize>();
        Self {
            name: name.to_owned(),
            docs: measures::docs(sources),
            names: measures::names(sources),
            circles: measures::circles(sources),
            test_lines: tests.map(|tests| sizes.test_lines + lines(tests)),
            sizes,
        }
    }

    /// Returns the rows of the table: the names of the measures, and their values for the column.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { sizes, docs, names, circles, .. } = self;
        let text = |share: Option<String>| share.unwrap_or_else(|| "-".to_owned());
        let test_share = |count| Share { count, total: sizes.lines + count }.to_string();
        vec![
            ("lines", sizes.lines.to_string()),
            ("files", sizes.files.to_string()),
            ("lines of tests", text(self.test_lines.map(|lines| lines.to_string()))),
            ("tests, share of lines", text(self.test_lines.map(test_share))),
            ("lines of a file: p50 / p95 / max", sizes.file_lines.to_string()),
            ("files > 500 lines", sizes.long_files.offenders.len().to_string()),
            ("lines of a function: p50 / p95 / max", sizes.function_lines.to_string()),
            ("functions", sizes.long_functions.total.to_string()),
            ("functions > 70 lines", sizes.long_functions.share().to_string()),
            ("files in a folder: p50 / p95 / max", sizes.folder_files.to_string()),
            ("folders > 15 files", sizes.wide_folders.offenders.len().to_string()),
            ("comments, share of lines", sizes.comments().to_string()),
            ("files with `//!`", docs.files_without.share_without().to_string()),
            ("`pub` items", docs.items_without.total.to_string()),
            ("`pub` items with a doc", docs.items_without.share_without().to_string()),
            ("doc blocks", docs.short.total.to_string()),
            ("words of a doc block, mean", docs.mean_words().to_string()),
            ("doc blocks of at most 4 words", docs.short.share().to_string()),
            ("docs that start with what/how/whether/…", docs.questions.share().to_string()),
            ("doc blocks with a link to an item", docs.without_link.share_without().to_string()),
            ("`pub` fns that return `Result`", docs.without_errors.total.to_string()),
            ("  of these with `# Errors`", docs.without_errors.share_without().to_string()),
            ("  of these that mention failure", docs.silent_on_failure.share_without().to_string()),
            ("names of types, `pub` or `pub(…)`", names.total.to_string()),
            ("  declared more than once", names.repeated.len().to_string()),
            ("  their share", names.share().to_string()),
            ("circles of files", circles.files.len().to_string()),
            ("  files in them", circles.files_within().to_string()),
            ("circles of folders", circles.folders.len().to_string()),
        ]
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = Workspace::read(&options.root.unwrap_or(built_from))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match options.list {
        None => print_table(&mut out, &columns(&workspace)),
        Some(measure) => print_findings_of(&mut out, &workspace.product(), measure),
    };
    match printed.and_then(|()| out.flush()) {
        // The reader of the output, such as `head`, has ended.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Returns the columns of the shipped crates, of all of them and of the tests.
fn columns(workspace: &Workspace) -> Vec<Column> {
    let tests: Vec<&Source> = workspace.tests.iter().collect();
    let mut columns = Vec::new();
    for shipped in &workspace.crates {
        let sources: Vec<&Source> = shipped.sources.iter().collect();
        let folder = format!("{}/", shipped.name);
        let crate_tests: Vec<&Source> =
            tests.iter().copied().filter(|source| source.path.starts_with(&folder)).collect();
        columns.push(Column::new(&shipped.name, &sources, Some(&crate_tests)));
    }
    columns.push(Column::new("product", &workspace.product(), Some(&tests)));
    columns.push(Column::new("tests", &tests, None));
    columns
}

fn print_table(out: &mut impl Write, columns: &[Column]) -> io::Result<()> {
    print_row(out, "", columns.iter().map(|column| &column.name))?;
    let rows: Vec<_> = columns.iter().map(Column::rows).collect();
    let labels = rows.first().into_iter().flatten().map(|(label, _)| *label);
    for (number, label) in labels.enumerate() {
        print_row(out, label, rows.iter().map(|column| &column[number].1))?;
    }
    Ok(())
}

fn print_row<'a>(
    out: &mut impl Write,
    label: &str,
    values: impl Iterator<Item = &'a String>,
) -> io::Result<()> {
    write!(out, "{label:<LABEL_WIDTH$}")?;
    for value in values {
        write!(out, "{value:>COLUMN_WIDTH$}")?;
    }
    writeln!(out)
}

fn print_findings_of(out: &mut impl Write, sources: &[&Source], measure: Measure) -> io::Result<()> {
    match measure {
        Measure::Files => print_findings(out, &measures::sizes(sources).long_files),
        Measure::Functions => print_findings(out, &measures::sizes(sources).long_functions),
        Measure::Folders => print_findings(out, &measures::sizes(sources).wide_folders),
        Measure::ModuleDocs => print_findings(out, &measures::docs(sources).files_without),
        Measure::Docs => print_findings(out, &measures::docs(sources).items_without),
        Measure::ShortDocs => print_findings(out, &measures::docs(sources).short),
        Measure::Questions => print_findings(out, &measures::docs(sources).questions),
        Measure::Links => print_findings(out, &measures::docs(sources).without_link),
        Measure::Errors => print_findings(out, &measures::docs(sources).without_errors),
        Measure::Failures => print_findings(out, &measures::docs(sources).silent_on_failure),
        Measure::Names => print_names(out, &measures::names(sources)),
        Measure::Circles => print_circles(out, &measures::circles(sources).files),
        Measure::FolderCircles => print_circles(out, &measures::circles(sources).folders),
    }
}

fn print_findings(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    for finding in &findings.offenders {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "{} of {}", findings.offenders.len(), findings.total)
}

fn print_names(out: &mut impl Write, names: &Names) -> io::Result<()> {
    for repeated in &names.repeated {
        writeln!(out, "{}", repeated.name)?;
        for declaration in &repeated.declarations {
            writeln!(out, "    {declaration}")?;
        }
    }
    writeln!(out, "{} of {}", names.repeated.len(), names.total)
}

fn print_circles(out: &mut impl Write, circles: &[Circle]) -> io::Result<()> {
    for circle in circles {
        writeln!(out, "{}", circle.members.join(" ↔ "))?;
        for import in &circle.imports {
            writeln!(out, "    {}:{}: {}", import.from, import.line, import.to)?;
        }
    }
    writeln!(out, "{}", circles.len())
}
