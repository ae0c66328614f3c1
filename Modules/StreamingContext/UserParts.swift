internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance

/// A checkpoint store of the user's, which may block: called on threads for that.
struct UserCheckpointStore: CheckpointStore {
    private let base: any CheckpointStore

    /// The store as it is to be called: our own suspend.
    static func wrapping(_ store: any CheckpointStore) -> any CheckpointStore {
        store is FileCheckpointStore || store is InMemoryCheckpointStore
            ? store : UserCheckpointStore(base: store)
    }

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        try await UserThreads.run { try await base.write(record, state: state) }
    }

    func recover() async throws -> RecoveredCheckpoint? {
        try await UserThreads.run { try await base.recover() }
    }

    func close() async { await UserThreads.run { await base.close() } }
}

/// A dead-letter store of the user's, which may block: called on threads for that.
struct UserDeadLetterStore: DeadLetterStore {
    private let base: any DeadLetterStore

    /// The store as it is to be called: our own suspends.
    static func wrapping(_ store: any DeadLetterStore) -> any DeadLetterStore {
        store is FileDeadLetterStore ? store : UserDeadLetterStore(base: store)
    }

    func prepare() async throws { try await UserThreads.run { try await base.prepare() } }

    func write(_ letter: DeadLetter) async throws {
        try await UserThreads.run { try await base.write(letter) }
    }

    func list() async throws -> DeadLetterListing {
        try await UserThreads.run { try await base.list() }
    }

    func read(_ id: DeadLetter.ID) async throws -> DeadLetter {
        try await UserThreads.run { try await base.read(id) }
    }

    func settle(_ id: DeadLetter.ID) async throws {
        try await UserThreads.run { try await base.settle(id) }
    }

    func isKnown(_ id: DeadLetter.ID) async throws -> Bool {
        try await UserThreads.run { try await base.isKnown(id) }
    }

    func lockForReplay() async throws -> any DeadLetterLock {
        try await UserThreads.run { try await base.lockForReplay() }
    }
}
