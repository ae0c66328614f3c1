internal import BatchEngine
internal import DStreamCore

/// A handler of the user's, which may block: called on threads for that.
struct UserBlockHandler: ReceivedBlockHandler {
    private let base: any ReceivedBlockHandler

    /// The handler as it is to be called: our own run where they are called.
    static func wrapping(_ handler: any ReceivedBlockHandler) -> any ReceivedBlockHandler {
        handler is BlockStoreHandler || handler is LoggedBlockHandler
            ? handler : UserBlockHandler(base: handler)
    }

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        try await UserThreads.run { try await base.store(block) }
    }

    func remove(_ blocks: [StoredBlock]) async {
        await UserThreads.run { await base.remove(blocks) }
    }

    func setAside(_ blocks: [StoredBlock]) async {
        await UserThreads.run { await base.setAside(blocks) }
    }

    func restore(_ block: StoredBlock) async throws -> Bool {
        try await UserThreads.run { try await base.restore(block) }
    }
}
