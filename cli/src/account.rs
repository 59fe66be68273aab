//! `studyhall role` and `studyhall account`.
use anyhow::{Context as _, Error};
use domain::{
    text::Email,
    user::{Role, Standing},
};

use crate::{
    arguments::{AccountAction, RoleName},
    parts::Settings,
};

/// What the owner has under way has ended by then, seconds.
const BEFORE_ERASURE: u32 = 60;

/// Changes what the owner of an address may do.
pub(crate) async fn role(email: &str, role: RoleName) -> Result<bool, Error> {
    let role = match role {
        RoleName::Student => Role::Student,
        RoleName::Instructor => Role::Instructor,
        RoleName::Admin => Role::Admin,
    };
    let email = Email::parse(email).context("the address")?;
    let settings = Settings::load()?;
    let commands = settings.commands(&settings.event_store().await?);
    let user_id = commands.give_role(&email, role).await?;
    println!("account {user_id} has this role now");
    Ok(true)
}

/// Closes or opens the account of an address.
pub(crate) async fn change(email: &str, action: AccountAction) -> Result<bool, Error> {
    let email = Email::parse(email).context("the address")?;
    let settings = Settings::load()?;
    let commands = settings.commands(&settings.event_store().await?);
    let standing = match action {
        AccountAction::Suspend => Standing::Suspended,
        AccountAction::Deactivate => Standing::Deactivated,
        AccountAction::Reinstate => Standing::Open,
        AccountAction::Erase => {
            let (user_id, due_at) = commands.delete_account_of(&email, BEFORE_ERASURE).await?;
            println!("account {user_id} is closed; its owner is forgotten from {due_at} on");
            return Ok(true);
        }
    };
    let user_id = commands.change_standing(&email, standing).await?;
    println!("done with account {user_id}");
    Ok(true)
}
