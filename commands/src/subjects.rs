//! The catalogue of subjects.
use domain::{Metadata, Subject, SubjectCommand, SubjectId};

use crate::{CommandError, Commands, Written, bus::Context, requests::Timer};

impl Commands {
    /// Lists a subject. A name that is listed already changes nothing.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    #[tracing::instrument(skip_all, fields(subject.id = tracing::field::Empty))]
    pub async fn add_subject(
        &self,
        name: impl Into<String>,
        category: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Written<SubjectId>, CommandError> {
        let _timer = Timer::start("add_subject");
        let name = name.into();
        let subject_id = Subject::id_of(&name);
        tracing::Span::current().record("subject.id", tracing::field::display(subject_id));
        let command = SubjectCommand::Add {
            subject_id,
            name,
            category: category.into(),
            description: description.into(),
            at: self.now(),
        };
        // The installation itself acts: no person, no request.
        let context = Context::new(Metadata::default());
        let id = subject_id.to_string();
        let executed = self.inner.bus.execute::<Subject>(&id, command, context).await?;
        Ok(Written { value: subject_id, receipt: executed.receipt, replayed: executed.replayed })
    }
}
