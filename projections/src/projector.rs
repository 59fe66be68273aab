//! What a projector is.
use domain::Recorded;

/// A pure function from one recorded event to changes of one read model.
///
/// The changes of an event depend on that event only. One aggregate's events arrive in order;
/// nothing is promised between aggregates, so a row is fed by events of one aggregate only. What
/// two feed needs a change that comes to the same in either order, as [`DocumentChange::Read`] does.
///
/// [`DocumentChange::Read`]: crate::changes::DocumentChange::Read
pub trait Projector: Send + Sync + 'static {
    /// What the read model's store understands.
    type Change: Clone + Send + Sync + 'static;

    /// The read model's name, for ever; see [`crate::names`].
    const NAME: &'static str;
    /// Raised when the same events must give other rows: the model is then built anew.
    const VERSION: u32;
    /// The aggregate types whose events it reads. All others pass unseen.
    const READS: &'static [&'static str];
    /// Whether readers trust the model only while its worker confirms that it is complete.
    const CONFIRMED: bool = false;

    /// The changes that follow from `recorded`.
    fn project(&self, recorded: &Recorded) -> Vec<Self::Change>;
}
