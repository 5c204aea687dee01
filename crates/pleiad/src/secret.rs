//! Secrets of this process: made at random, written for their owner alone, asked for without an echo.

use anyhow::{Context, Result, anyhow};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::OpenOptions;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Letters of a password: no two that are mistaken for one another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789X";
/// Characters of a generated password: 5 bits each.
const PASSWORD_LENGTH: usize = 20;

/// A password of 100 random bits.
pub(crate) fn random_password() -> Result<String> {
    let mut bytes = [0; PASSWORD_LENGTH];
    getrandom::fill(&mut bytes).map_err(|fault| anyhow!("the system gives no random bytes: {fault}"))?;
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('x', char::from);
    Ok(bytes.iter().map(letter).collect())
}

/// Writes a file that only its owner can read; whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Asks the terminal for a password and shows nothing of it; without a terminal, a line of standard input.
pub(crate) fn ask(prompt: &str) -> Result<String> {
    let input = std::io::stdin();
    let mut line = String::new();
    if input.is_terminal() {
        eprint!("{prompt}: ");
        let shown = tcgetattr(&input).context("cannot talk to the terminal")?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Now, &hidden).context("cannot hide what is typed")?;
        let read = input.lock().read_line(&mut line);
        tcsetattr(&input, OptionalActions::Now, &shown).context("cannot show again what is typed")?;
        eprintln!();
        read.context("nothing was typed")?;
    } else {
        input.lock().read_line(&mut line).context("nothing came on standard input")?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
