internal import Synchronization

/// What tasks have added to accumulators, until it counts or is dropped.
///
/// An operation has one, and counts what is in it when it has succeeded. A shuffle or a dataset that
/// is computed once keeps what its tasks added; every operation that uses it takes that over, and the
/// first to succeed counts it.
@usableFromInline
package final class AddedSums: Sendable {
    /// What one task has added.
    package final class Part: Sendable {
        private let updates: Locked<[any PendingUpdate]>

        init(_ updates: [any PendingUpdate]) { self.updates = Locked(updates) }

        /// Nothing once it was counted.
        fileprivate var pending: [any PendingUpdate] { updates.withLock { $0 } }

        /// Counts it, and returns what it was.
        fileprivate func count() -> [any PendingUpdate] {
            let updates = updates.withLock { updates in
                defer { updates = [] }
                return updates
            }
            for update in updates { update.commit() }
            return updates
        }
    }

    private enum State {
        case open([Part], own: [any PendingUpdate])
        case counted
        case dropped
    }

    private let state = Locked(State.open([], own: []))

    /// Makes one without anything.
    package init() {}

    /// What is in it.
    package var parts: [Part] {
        state.withLock { state in
            guard case .open(let parts, _) = state else { return [] }
            return parts
        }
    }

    /// Takes over what tasks have added.
    ///
    /// Once it was counted, what comes late counts at once.
    package func add(_ parts: [Part]) {
        if parts.isEmpty { return }
        let parts = parts.filter { !$0.pending.isEmpty }
        let isCounted = state.withLock { state in
            switch state {
            case .open(let earlier, let own): state = .open(earlier + parts, own: own)
            case .counted: return true
            case .dropped: break
            }
            return false
        }
        if isCounted { Self.count(parts, []) }
    }

    /// Counts what is in it.
    package func count() {
        let (parts, own): ([Part], [any PendingUpdate]) = state.withLock { state in
            guard case .open(let parts, let own) = state else { return ([], []) }
            state = .counted
            return (parts, own)
        }
        Self.count(parts, own)
    }

    private static func count(_ parts: [Part], _ own: [any PendingUpdate]) {
        let updates = parts.flatMap { $0.count() }
        for update in own { update.commit() }
        for update in updates + own { update.wereCommitted() }
    }

    /// Counts what is in it where the user's closures may run.
    package func settle() async {
        guard isFilled else { return count() }
        await UserThreads.run { self.count() }
    }

    private var isFilled: Bool {
        state.withLock { state in
            guard case .open(let parts, let own) = state else { return false }
            return !parts.isEmpty || !own.isEmpty
        }
    }

    /// Drops what is in it: the operation has failed.
    package func drop() {
        state.withLock { state in if case .open = state { state = .dropped } }
    }

    /// What the operation's own code adds to `owner`; nil once it has ended well.
    @usableFromInline
    func ownUpdate<Update: PendingUpdate>(
        of owner: ObjectIdentifier, _ make: () -> Update
    ) -> Update? {
        state.withLock { state in
            switch state {
            case .counted: return nil
            case .dropped: return make()
            case .open(let parts, let own):
                for update in own where update.owner == owner {
                    if let update = update as? Update { return update }
                }
                let update = make()
                state = .open(parts, own: own + [update])
                return update
            }
        }
    }

    /// What has been added to `owner` and has not been counted.
    @usableFromInline
    func pending(of owner: ObjectIdentifier) -> [any PendingUpdate] {
        let (parts, own): ([Part], [any PendingUpdate]) = state.withLock { state in
            guard case .open(let parts, let own) = state else { return ([], []) }
            return (parts, own)
        }
        // Two actions of an operation may have used the same shuffle.
        var seen: Set<ObjectIdentifier> = []
        let updates = parts.filter { seen.insert(ObjectIdentifier($0)).inserted }
            .flatMap(\.pending)
        return (updates + own).filter { $0.owner == owner }
    }
}
