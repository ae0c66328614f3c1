/// The state of one key, as a function given to `mapWithState` finds and leaves it.
///
/// The object is only good within the call that is handed it: the next call of the same task gets
/// the same one for another key.
public final class State<Value: Sendable> {
    @usableFromInline
    enum Outcome { case untouched, updated, removed }

    @exclusivity(unchecked) @usableFromInline var value: Value?
    @exclusivity(unchecked) @usableFromInline var outcome = Outcome.untouched
    @exclusivity(unchecked) @usableFromInline var isDue = false

    @inlinable
    init() {}

    /// Makes this the state of another key.
    @inlinable @inline(__always)
    func reset(to value: Value?, isTimingOut: Bool) {
        self.value = value
        outcome = .untouched
        isDue = isTimingOut
    }

    /// Whether the key has a state.
    @inlinable
    public var exists: Bool { value != nil }

    /// The state.
    ///
    /// - Throws: ``StreamError`` `.stateNotSet` when there is none.
    @inlinable
    public func get() throws -> Value {
        guard let value else { throw stateNotSet() }
        return value
    }

    /// The state, or nil when there is none.
    @inlinable
    public func getOption() -> Value? { value }

    /// Sets the state.
    ///
    /// - Throws: ``StreamError`` `.stateRemoved` after ``remove()`` in the same call, and
    ///   `.stateTimingOut` when the state times out.
    @inlinable
    public func update(_ newValue: Value) throws {
        if outcome == .removed || isDue { throw refusal("updated") }
        value = newValue
        outcome = .updated
    }

    /// Removes the state; there need not be one.
    ///
    /// - Throws: ``StreamError`` `.stateRemoved` when it was removed in the same call, and
    ///   `.stateTimingOut` when the state times out.
    @inlinable
    public func remove() throws {
        if outcome == .removed || isDue { throw refusal("removed") }
        value = nil
        outcome = .removed
    }

    /// Whether the key has been idle for longer than the time-out: this is its last call, without
    /// a value, and the state goes after it.
    @inlinable
    public var isTimingOut: Bool { isDue }

    @usableFromInline
    func refusal(_ verb: String) -> StreamError {
        if isDue {
            return StreamError(.stateTimingOut, "a state that is timing out cannot be \(verb)")
        }
        return StreamError(
            .stateRemoved, "the state cannot be \(verb) after it has been removed in the same call")
    }

    @usableFromInline
    func stateNotSet() -> StreamError {
        StreamError(.stateNotSet, "the key has no state; ask exists, or use getOption()")
    }
}
