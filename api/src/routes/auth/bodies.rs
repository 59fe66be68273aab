//! What clients send to `/api/auth`.
use commands::{CodeTarget, LoginName, LogoutScope, OtpPurpose, OtpTarget, Proof};
use domain::{
    EducationLevel, Violation, password,
    text::{Email, FullName, Institution, Phone, Username},
};

use crate::{
    extract::{Fields, FromFields, id, one_of, text},
    routes::users::bodies::EDUCATION_LEVELS,
};

/// Longest password or token that is looked at, characters.
const MAX_SECRET: usize = 1024;

/// Body of `POST /api/auth/register`.
pub(in crate::routes) struct Register {
    pub(super) email: Email,
    pub(super) password: password::NewPassword,
    pub(super) full_name: FullName,
    pub(super) username: Option<Username>,
    pub(super) phone: Option<Phone>,
    pub(super) education_level: Option<EducationLevel>,
    pub(super) institution: Option<Institution>,
}

impl FromFields for Register {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", text(Email::parse));
        let username = fields.optional("username", text(Username::parse));
        // Judged last: a password must not be what the person is known by.
        let (known_email, known_username) =
            (email.as_ref(), username.as_ref().and_then(Option::as_ref));
        let password = fields.required(
            "password",
            text(|raw| password::NewPassword::parse(raw, known_email, known_username)),
        );
        let full_name = fields.required("fullName", text(FullName::parse));
        let phone = fields.optional("phone", text(Phone::parse));
        let education_level = fields.optional("educationLevel", one_of(EDUCATION_LEVELS));
        let institution = fields.optional("institution", text(Institution::parse));
        Some(Self {
            email: email?,
            password: password?,
            full_name: full_name?,
            username: username?,
            phone: phone?,
            education_level: education_level?,
            institution: institution?,
        })
    }
}

/// Body of `POST /api/auth/login`. What is no e-mail address is a wrong one: no rule is told apart
/// from an unknown account.
pub(in crate::routes) struct Login {
    pub(super) name: LoginName,
    pub(super) password: String,
}

impl FromFields for Login {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.optional("email", text(bounded));
        let phone = fields.optional("phone", text(bounded));
        let password = fields.required("password", text(bounded));
        let name = match (email?, phone?) {
            (Some(email), None) => Some(LoginName::Email(email)),
            (None, Some(phone)) => Some(LoginName::Phone(phone)),
            _ => {
                let detail = "must be given, or else phone";
                fields.refuse("email", Violation::new("required", detail));
                None
            }
        };
        Some(Self { name: name?, password: password? })
    }
}

/// Body of `POST /api/auth/phone/send-otp`.
pub(in crate::routes) struct SendOtp {
    pub(super) phone: Phone,
    pub(super) purpose: OtpPurpose,
}

impl FromFields for SendOtp {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let phone = fields.required("phone", text(Phone::parse));
        let purpose = fields.optional(
            "purpose",
            text(|purpose| match purpose {
                "login" => Ok(OtpPurpose::Login),
                "verify_phone" => Ok(OtpPurpose::VerifyPhone),
                _ => Err(Violation::new("invalid_value", "must be one of login, verify_phone")),
            }),
        );
        Some(Self { phone: phone?, purpose: purpose?.unwrap_or_default() })
    }
}

/// Body of `POST /api/auth/phone/verify`: the code, with `verificationId` or `phone`.
pub(in crate::routes) struct VerifyOtp {
    pub(super) target: OtpTarget,
    pub(super) code: String,
}

impl FromFields for VerifyOtp {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let id = fields.optional("verificationId", id);
        let phone = fields.optional("phone", text(Phone::parse));
        let code = fields.required("code", text(bounded));
        let target = match (id?, phone?) {
            (Some(id), None) => Some(OtpTarget::Id(id)),
            (None, Some(phone)) => Some(OtpTarget::Phone(phone)),
            _ => {
                let detail = "must be given, or else phone";
                fields.refuse("verificationId", Violation::new("required", detail));
                None
            }
        };
        Some(Self { target: target?, code: code? })
    }
}

/// Body of `POST /api/users/me/phone`.
pub(in crate::routes) struct ChangePhone {
    pub(super) phone: Phone,
    pub(super) password: Option<String>,
}

impl FromFields for ChangePhone {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let phone = fields.required("phone", text(Phone::parse));
        let password = fields.optional("currentPassword", text(bounded));
        Some(Self { phone: phone?, password: password? })
    }
}

/// Body of `POST /api/auth/refresh`.
pub(in crate::routes) struct Refresh {
    pub(super) refresh_token: Option<String>,
}

impl FromFields for Refresh {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.optional("refreshToken", text(bounded))? })
    }
}

/// Body of `POST /api/auth/logout`.
pub(in crate::routes) struct Logout {
    pub(super) scope: LogoutScope,
}

impl FromFields for Logout {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let scope = fields.optional(
            "scope",
            text(|scope| match scope {
                "local" => Ok(LogoutScope::Local),
                "others" => Ok(LogoutScope::Others),
                "global" => Ok(LogoutScope::Global),
                _ => Err(Violation::new("invalid_value", "must be one of local, others, global")),
            }),
        )?;
        Some(Self { scope: scope.unwrap_or_default() })
    }
}

/// Body of `POST /api/auth/email/verify`: either `token`, or `code` with `verificationId` or `email`.
pub(in crate::routes) struct Verify {
    pub(super) proof: Proof,
}

impl FromFields for Verify {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.optional("token", text(bounded));
        let id = fields.optional("verificationId", id);
        let email = fields.optional("email", text(Email::parse));
        let code = fields.optional("code", text(bounded));
        let proof = match (token?, id?, email?, code?) {
            (Some(token), None, None, None) => Proof::Token(token),
            (None, Some(id), None, Some(code)) => Proof::Code { target: CodeTarget::Id(id), code },
            (None, None, Some(email), Some(code)) => {
                Proof::Code { target: CodeTarget::Email(email), code }
            }
            _ => {
                let detail = "must be given, or else code with verificationId or email";
                fields.refuse("token", Violation::new("required", detail));
                return None;
            }
        };
        Some(Self { proof })
    }
}

/// Body of `POST /api/auth/email/resend` and `POST /api/auth/password/forgot`.
pub(in crate::routes) struct Resend {
    pub(super) email: Email,
}

impl FromFields for Resend {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.required("email", text(Email::parse))? })
    }
}

/// Body of `POST /api/auth/password/reset`.
pub(in crate::routes) struct Reset {
    pub(super) token: String,
    pub(super) password: String,
}

impl FromFields for Reset {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", text(bounded));
        let password = fields.required("newPassword", text(bounded));
        Some(Self { token: token?, password: password? })
    }
}

/// Body of `POST /api/users/me/email`.
pub(in crate::routes) struct ChangeEmail {
    pub(super) email: Email,
    pub(super) password: Option<String>,
}

impl FromFields for ChangeEmail {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", text(Email::parse));
        let password = fields.optional("currentPassword", text(bounded));
        Some(Self { email: email?, password: password? })
    }
}

/// Body of `DELETE /api/users/me` and `POST /api/users/me/export`.
pub(in crate::routes) struct KnownPassword {
    pub(super) current: Option<String>,
}

impl FromFields for KnownPassword {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current = fields.optional("currentPassword", text(bounded))?;
        Some(Self { current })
    }
}

/// Body of `PUT /api/users/me/password`. Whether the new one will do depends on the account.
pub(in crate::routes) struct NewPassword {
    pub(super) current: Option<String>,
    pub(super) new: String,
}

impl FromFields for NewPassword {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current = fields.optional("currentPassword", text(bounded));
        let new = fields.required("newPassword", text(bounded));
        Some(Self { current: current?, new: new? })
    }
}

fn bounded(raw: &str) -> Result<String, Violation> {
    if raw.chars().count() > MAX_SECRET {
        return Err(Violation::new("too_long", format!("at most {MAX_SECRET} characters")));
    }
    Ok(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::problem::Problem;

    fn read<T: FromFields>(value: Value) -> Result<T, Problem> {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields::new(fields).read()
    }

    fn refused<T: FromFields>(value: Value) -> (String, Vec<String>) {
        let problem = read::<T>(value).err().unwrap();
        let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
        let errors = body["errors"].as_array().unwrap().iter();
        let line = |e: &Value| format!("{} {}", e["pointer"], e["code"]).replace('"', "");
        (problem.code().to_owned(), errors.map(line).collect())
    }

    fn ana() -> Value {
        json!({
            "email": "Ana@Example.org", "password": "blue kettle on monday",
            "fullName": "Ana López", "username": null, "educationLevel": "graduate",
        })
    }

    #[test]
    fn a_registration_is_read() {
        let register: Register = read(ana()).unwrap();
        assert_eq!(register.email.as_str(), "Ana@Example.org");
        assert_eq!(register.education_level, Some(EducationLevel::Graduate));
        assert_eq!(register.username, None);
    }

    #[test]
    fn all_that_is_wrong_with_a_registration_is_told_at_once() {
        let mut body = ana();
        body["email"] = json!("nobody");
        body["password"] = json!("short");
        body["fullName"] = json!("x".repeat(101));
        body["phone"] = json!("030 1");
        body["educationLevel"] = json!("guru");
        let (code, errors) = refused::<Register>(body);
        assert_eq!(code, "validation_failed");
        assert_eq!(
            errors,
            [
                "/email invalid_email",
                "/password too_short",
                "/fullName too_long",
                "/phone invalid_phone",
                "/educationLevel invalid_value",
            ]
        );
    }

    #[test]
    fn nobody_registers_with_rights() {
        for field in ["role", "isVerified", "isPremium", "id"] {
            let mut body = ana();
            body[field] = json!(true);
            let (code, errors) = refused::<Register>(body);
            assert_eq!(code, "unknown_field");
            assert_eq!(errors, [format!("/{field} unknown_field")]);
        }
    }

    #[test]
    fn a_password_is_not_the_address() {
        let mut body = ana();
        body["email"] = json!("blue-kettle@example.org");
        body["password"] = json!("Blue-Kettle");
        assert_eq!(refused::<Register>(body).1, ["/password too_obvious"]);
    }

    #[test]
    fn a_login_bounds_what_is_hashed_and_judges_nothing_else() {
        assert!(read::<Login>(json!({"email": "nobody", "password": ""})).is_ok());
        let long = "x".repeat(MAX_SECRET + 1);
        let (_, errors) = refused::<Login>(json!({"email": "nobody", "password": long}));
        assert_eq!(errors, ["/password too_long"]);
    }

    #[test]
    fn a_logout_ends_this_session_unless_it_says_otherwise() {
        let scope = |body| read::<Logout>(body).unwrap().scope;
        assert_eq!(scope(json!({})), LogoutScope::Local);
        assert_eq!(scope(json!({"scope": "others"})), LogoutScope::Others);
        assert_eq!(refused::<Logout>(json!({"scope": "mine"})).1, ["/scope invalid_value"]);
        assert_eq!(refused::<Logout>(json!({"all": true})).0, "unknown_field");
    }
}
