//! `studyhall seed`: the catalogue of subjects and a small demo, through the commands that clients
//! use.
mod content;

use anyhow::{Context as _, Error, bail};
use commands::{
    Caller, CommandError, Commands, CreateRoom, Entrance, IdempotencyKey, LoginName, LoginRequest,
    LogoutScope, RegisterRequest, SendMessage, Written,
};
use domain::{
    MessageType, RoomId, RoomType, SessionId, Subject, User, UserId,
    password::NewPassword,
    text::{Email, FullName, MessageBody, RoomDescription, RoomName, Username},
};
use eventstore::EventStore;
use platform::ids::new_id;
use projections::ReadModels;
use uuid::Uuid;

use crate::parts::Settings;
use content::{DemoPerson, DemoRoom, PASSWORD, PEOPLE, ROOMS, SUBJECTS};

/// Records what is missing and prints the logins.
pub(crate) async fn seed() -> Result<bool, Error> {
    let mut settings = Settings::load()?;
    // The people of the demo read no mail.
    settings.config.rooms.require_verified_email = false;
    let store = settings.event_store().await?;
    let commands = settings.commands(&store);
    let models = settings.read_models(&store).await?;
    for (category, name, description) in SUBJECTS {
        commands.add_subject(*name, *category, *description).await?;
    }
    let mut callers = Vec::new();
    for person in PEOPLE {
        callers.push(caller(&commands, &store, person).await?);
    }
    for room in ROOMS {
        furnish(&commands, &models, &callers, room).await?;
    }
    for person in PEOPLE {
        println!("demo login: {} {PASSWORD}", person.email);
    }
    Ok(true)
}

/// The person as a caller; registers them if nobody has their address.
async fn caller(
    commands: &Commands,
    store: &EventStore,
    person: &DemoPerson,
) -> Result<Caller, Error> {
    let request_id = new_id().to_string();
    let email = Email::parse(person.email)?;
    if let Some(owner) = store.claim_owner(User::EMAIL, &email.canonical()).await? {
        let user_id: UserId = owner.parse().context("the owner of an address has no id")?;
        // No session of their own: nobody logs in here, and none is left behind.
        return Ok(Caller { user_id, session_id: SessionId(Uuid::nil()), request_id });
    }
    let username = Username::parse(person.username)?;
    let registration = RegisterRequest {
        password: NewPassword::parse(PASSWORD, Some(&email), Some(&username))?,
        email,
        full_name: FullName::parse(person.full_name)?,
        username: Some(username),
        phone: None,
        education_level: None,
        institution: None,
        user_agent: None,
    };
    let session = match commands.register(registration, &request_id).await {
        Ok(Written { value: Entrance::In(session), .. }) => session,
        Ok(_) => bail!("seeding needs accounts.registration_mode = 'immediate'"),
        // Somebody seeds beside us.
        Err(CommandError::Rejected { .. }) => {
            let name = LoginName::Email(person.email.to_owned());
            let login = LoginRequest {
                owner: commands.owner_of_name(&name).await?,
                password: PASSWORD.to_owned(),
                user_agent: None,
                spent: false,
            };
            commands.login(login, &request_id).await?.value
        }
        Err(error) => return Err(error.into()),
    };
    let caller = Caller { user_id: session.user_id, session_id: session.session_id, request_id };
    commands.logout(&caller, LogoutScope::Local).await?;
    Ok(caller)
}

/// The room with its members and messages. Repeating it changes nothing: within two days by its
/// idempotency key, later because the room is seen.
async fn furnish(
    commands: &Commands,
    models: &ReadModels,
    callers: &[Caller],
    demo: &DemoRoom,
) -> Result<(), Error> {
    let owner = &callers[0];
    let room_id = match existing(models, owner.user_id, demo.name).await? {
        Some(room_id) => room_id,
        None => create(commands, owner, demo).await?,
    };
    for caller in &callers[1..] {
        commands.join_room(caller, room_id, None, None).await?;
    }
    for (number, (speaker, text)) in demo.messages.iter().enumerate() {
        let message = SendMessage {
            room_id,
            // The same message of the same room, whoever seeds and when.
            client_message_id: Some(Uuid::new_v5(&room_id.0, number.to_string().as_bytes())),
            reply_to_id: None,
            content: MessageBody::parse(text)?,
            message_type: MessageType::Text,
        };
        commands.send_message(&callers[*speaker], message, None).await?;
    }
    Ok(())
}

async fn create(commands: &Commands, owner: &Caller, demo: &DemoRoom) -> Result<RoomId, Error> {
    let room = CreateRoom {
        name: RoomName::parse(demo.name)?,
        description: RoomDescription::parse(demo.description)?,
        subject_id: Subject::id_of(demo.subject),
        room_type: RoomType::Public,
        max_participants: demo.places,
    };
    let key = IdempotencyKey {
        key: format!("seed/{}/{}", owner.user_id, demo.name),
        request_hash: commands.request_hasher().hash(&[demo.name.as_bytes()]),
    };
    Ok(commands.create_room(owner, room, Some(key)).await?.value)
}

/// The owner's room of this name, if the read models know one.
async fn existing(models: &ReadModels, owner: UserId, name: &str) -> Result<Option<RoomId>, Error> {
    let memberships = models.members().rooms_of(owner).await?;
    let ids: Vec<RoomId> = memberships.into_iter().map(|member| member.room_id).collect();
    let rooms = models.rooms().get_many(&ids).await?;
    Ok(rooms.into_iter().find(|room| room.name == name).map(|room| room.id))
}
