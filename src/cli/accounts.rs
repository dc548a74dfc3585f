//! `meari accounts`: people, from the operator's side.

use std::io::BufRead;
use std::path::Path;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, open, table};
use crate::accounts::{self, Handle, NewAccount, app_passwords, emails, mobiles, passwords};
use crate::contacts;
use crate::db::{Db, Lane};
use crate::keys;
use crate::phone::E164;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an account
    ///
    /// Without --password-stdin a password is made and printed once.
    Create(CreateOptions),
    /// List the accounts
    List,
    /// Make a password for one phone and print it once, with the address to enter
    AppPassword {
        /// Whose phone
        handle: String,
        /// What the owner calls it
        #[arg(long, default_value = "Made by the operator")]
        label: String,
    },
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The name for good: small letters, digits, _ - and .
    handle: String,
    /// The name friends see [default: the handle]
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// A mobile number that needs no code, because you vouch for it
    #[arg(long, value_name = "+E164")]
    mobile: Option<String>,
    /// An e-mail address that needs no code, because you vouch for it
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// May use the operator's pages and /v1/admin
    #[arg(long)]
    admin: bool,
}

pub async fn run(config: Option<&Path>, command: Command) -> Outcome {
    match command {
        Command::Create(options) => create(config, options).await,
        Command::List => list(config).await,
        Command::AppPassword { handle, label } => app_password(config, &handle, label).await,
    }
}

async fn create(config: Option<&Path>, options: CreateOptions) -> Outcome {
    let handle = Handle::parse(&options.handle)?;
    let display_name = accounts::display_name(options.display_name.as_deref().unwrap_or(handle.as_str()))?;
    let (password, made) = if options.password_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        (line.trim_end_matches(['\r', '\n']).to_owned(), false)
    } else {
        (keys::random_app_password(), true)
    };
    passwords::check_shape(&password)?;
    let mobile = options.mobile.as_deref().map(E164::parse).transpose();
    let mobile = mobile.map_err(|_| {
        Failure::new("--mobile is not a number in E.164 form.", "Example: --mobile +12025550101")
    })?;
    let email = options.email.as_deref().map(emails::parse).transpose()?;
    let app = open::app(open::settings(config)?)?;
    let new = NewAccount {
        handle,
        display_name,
        password_hash: passwords::hash_now(&password)?,
        locale: accounts::locale("en")?,
        time_zone: accounts::time_zone("UTC")?,
        admin: options.admin,
    };
    let now = app.now();
    let create = move |db: &mut Db| {
        let account = accounts::create(db, now, &new)?;
        if let Some(address) = &email {
            emails::add_verified(db, now, account.id, address)?;
        }
        if let Some(number) = &mobile
            && let Some(other) = mobiles::add_verified(db, now, account.id, number)?
        {
            contacts::handset_removed(db, now, other)?;
        }
        Ok(account)
    };
    let account = app.db.write(Lane::Any, create).await?;
    println!("created {} ({})", account.handle, account.id);
    if made {
        println!("password: {password}");
    }
    Ok(())
}

async fn list(config: Option<&Path>) -> Outcome {
    let app = open::app(open::settings(config)?)?;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = app.db.read(move |db| accounts::list(db, after, 1_000)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        rows.extend(page.into_iter().map(|account| {
            let role = if account.admin { "admin" } else { "" };
            let created = account.created_at.to_rfc3339();
            [account.handle, account.display_name, account.id.to_string(), created, role.to_owned()]
        }));
    }
    if rows.is_empty() {
        println!("There are no accounts. Make one with `meari accounts create HANDLE`.");
    } else {
        print!("{}", table::render(["HANDLE", "NAME", "ID", "CREATED", "ROLE"], &rows));
    }
    Ok(())
}

async fn app_password(config: Option<&Path>, handle: &str, label: String) -> Outcome {
    let app = open::app(open::settings(config)?)?;
    let wanted = handle.to_owned();
    let account = app.db.read(move |db| accounts::find_by_handle(db, &wanted)).await?;
    let advice = "`meari accounts list` shows all of them.";
    let account = account.ok_or_else(|| Failure::new(format!("There is no account {handle:?}."), advice))?;
    let (now, keys, id) = (app.now(), app.keys.clone(), account.id);
    let make = move |db: &mut Db| app_passwords::create(db, now, &keys, id, &label);
    let (_, word) = app.db.write(id, make).await?;
    println!("CardDAV address: {}/dav/", app.settings.public_url);
    println!("user name:       {}", account.handle);
    println!("password:        {word}");
    Ok(())
}
