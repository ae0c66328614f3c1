/// Keeps dead letters until they have been replayed.
///
/// ## Durability
/// ``write(_:)`` and ``settle(_:)`` return only when what they did would survive a crash, where the
/// implementation promises that.
public protocol DeadLetterStore: Sendable {
    /// Makes ready for writing.
    ///
    /// - Throws: when nothing can be written; what to do is in the message.
    func prepare() async throws

    /// Keeps a dead letter, in place of one of the same batch and operation.
    ///
    /// - Throws: when it was not kept; one that was there before still is.
    func write(_ letter: DeadLetter) async throws

    /// The dead letters that wait, by batch and operation.
    func list() async throws -> DeadLetterListing

    /// A dead letter with its elements.
    ///
    /// - Throws: when there is none, or it is damaged.
    func read(_ id: DeadLetter.ID) async throws -> DeadLetter

    /// Sets a dead letter that was replayed apart: it waits no longer, and is known to have been.
    func settle(_ id: DeadLetter.ID) async throws

    /// Whether there is a dead letter of a batch and operation, waiting or replayed.
    func isKnown(_ id: DeadLetter.ID) async throws -> Bool

    /// Keeps others from replaying until the result is released.
    ///
    /// - Throws: when another one replays.
    func lockForReplay() async throws -> any DeadLetterLock
}

/// What a dead-letter store holds.
public struct DeadLetterListing: Sendable, Hashable {
    /// The dead letters that wait, by batch and operation.
    public var entries: [DeadLetter.Entry]
    /// What cannot be read, in words.
    public var problems: [String]

    /// Makes a listing.
    public init(entries: [DeadLetter.Entry], problems: [String] = []) {
        self.entries = entries
        self.problems = problems
    }
}

/// The right to replay; given back when released, at the latest with the object.
public protocol DeadLetterLock: Sendable {
    /// Gives the right back.
    func release()
}
