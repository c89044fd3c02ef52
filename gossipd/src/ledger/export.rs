//! Blocks into a file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
};

use super::{Failure, args::Export, print, progress::Progress, store::Reader};

pub(super) fn run(args: &Export) -> Result<(), Box<Failure>> {
    let file = args.place.folder()?.existing(&args.channel)?;
    let mut reader = Reader::open(&file)?;
    let (first, last) = (reader.first(), reader.height().saturating_sub(1));
    let (from, to) = (args.from.unwrap_or(first), args.to.unwrap_or(last));
    if from < first || to > last || from > to {
        let problem = format!(
            "{}: expected blocks between {first} and {last}, in order; asked for {from} to {to}",
            file.display()
        );
        return Err(problem.into());
    }
    let name = args.file.display();
    if !args.force && args.file.symlink_metadata().is_ok() {
        return Err(format!("{name}: there is a file; --force replaces it").into());
    }
    let mut draft = args.file.clone().into_os_string();
    draft.push(format!(".part-{}", process::id()));
    let draft = PathBuf::from(draft);
    let written = write(&mut reader, &draft, from, to).and_then(|()| {
        publish(&draft, &args.file, args.force).map_err(|error| format!("{name}: {error}").into())
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    print(&format!("{}: blocks {from} to {to} written to {name}\n", args.channel))
}

fn write(reader: &mut Reader, draft: &Path, from: u64, to: u64) -> Result<(), Box<Failure>> {
    let fault = |error: io::Error| format!("{}: {error}", draft.display());
    let mut out = BufWriter::new(File::create(draft).map_err(fault)?);
    let mut progress = Progress::new(format!("{}: exported", reader.channel()));
    let mut length = Vec::new();
    for number in from..=to {
        let block = reader.get(number)?;
        length.clear();
        prost::encode_length_delimiter(block.len(), &mut length)?;
        out.write_all(&length).and_then(|()| out.write_all(&block)).map_err(fault)?;
        progress.tell(number);
    }
    let file = out.into_inner().map_err(|error| fault(error.into_error()))?;
    file.sync_all().map_err(fault)?;
    Ok(())
}

/// Gives a finished file its name.
fn publish(draft: &Path, file: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(draft, file);
    }
    // Unlike renaming it this replaces nothing.
    fs::hard_link(draft, file)?;
    fs::remove_file(draft)
}
