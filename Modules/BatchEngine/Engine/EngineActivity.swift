internal import Synchronization

/// What an engine is doing, so that it can be given up, and whether it still takes work.
///
/// A part of engines; see ``ExecutionEngine/abandon(reason:)``.
///
/// ## Isolation
/// Callable from any thread.
public final class EngineActivity: Sendable {
    /// Something under way.
    public struct Entry: Sendable {
        /// What it is, in words; nil: it is listed by its parts.
        let label: String?
        /// The operator whose task it is.
        let site: OperatorSite?
        /// The task's partition.
        let partition: Int?

        /// A body, or with nil a request.
        public init(label: String?) {
            self.label = label
            site = nil
            partition = nil
        }

        /// A task.
        public init(site: OperatorSite, partition: Int) {
            label = nil
            self.site = site
            self.partition = partition
        }

        var text: String? {
            guard let site, let partition else { return label }
            return "\(site), partition \(partition)"
        }
    }
    private struct State {
        var entries: [UInt64: (entry: Entry, fail: (@Sendable (EngineError) -> Void)?)] = [:]
        var next: UInt64 = 0
        var ended: EngineError?
    }

    private let state = Locked(State())

    /// Nothing is under way.
    public init() {}

    /// Notes the start of something.
    ///
    /// - Parameter fail: called when the engine is abandoned while it is under way.
    /// - Throws: the error with which the engine ended.
    public func enter(
        _ entry: Entry, _ fail: (@Sendable (EngineError) -> Void)? = nil
    ) throws -> UInt64 {
        try state.withLock { state in
            if let ended = state.ended { throw ended }
            state.next += 1
            state.entries[state.next] = (entry, fail)
            return state.next
        }
    }

    /// Notes its end.
    public func leave(_ token: UInt64) {
        let entry = state.withLock { $0.entries.removeValue(forKey: token) }
        withExtendedLifetime(entry) {}
    }

    /// Refuses further work; the first reason stays.
    public func end(_ error: EngineError) {
        state.withLock { $0.ended = $0.ended ?? error }
    }

    /// Refuses further work and fails what is under way.
    ///
    /// - Returns: what was under way, in words.
    public func abandon(_ reason: String) -> [String] {
        let (running, error, failures) = state.withLock { state in
            let entries = state.entries.sorted { $0.key < $1.key }.map(\.value)
            let running = entries.compactMap(\.entry.text)
            let task = entries.first { $0.entry.site != nil }?.entry
            let what = running.isEmpty ? "" : "; still running: "
            let error = EngineError(
                .abandoned, reason + what + running.joined(separator: "; "), site: task?.site,
                partition: task?.partition)
            state.ended = error
            return (running, error, entries.compactMap(\.fail))
        }
        for fail in failures { fail(error) }
        return running
    }
}
