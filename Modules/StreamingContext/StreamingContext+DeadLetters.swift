internal import BatchEngine
public import DStreamCore
internal import FaultTolerance
internal import Synchronization

extension StreamingContext {
    /// What became of a replay.
    public struct ReplayReport: Sendable, CustomStringConvertible {
        /// Dead letters whose operation has succeeded now; they wait no longer.
        public var replayed: [DeadLetter.Entry] = []
        /// Dead letters that wait still, and why.
        public var failed: [(entry: DeadLetter.Entry, error: any Error)] = []
        /// Files that cannot be read, in words.
        public var problems: [String] = []

        /// Counts, and what failed.
        public var description: String {
            var lines = ["\(replayed.count) dead letters replayed, \(failed.count) failed"]
            lines += failed.map { "\($0.entry.id.batchTime) \($0.entry.site): \($0.error)" }
            return (lines + problems).joined(separator: "\n")
        }
    }

    /// The dead letters that wait, by batch and operation.
    ///
    /// - Throws: ``StreamError`` `.deadLetterDirectoryMissing`; what reading the directory throws.
    public func deadLetters() async throws -> DeadLetterListing {
        try await requireDeadLetterStore().list()
    }

    /// A dead letter with its elements; see ``DeadLetter/Elements/decode(as:codec:)``.
    ///
    /// - Throws: as ``deadLetters()``; when it does not wait, or is damaged.
    public func deadLetter(_ id: DeadLetter.ID) async throws -> DeadLetter {
        try await requireDeadLetterStore().read(id)
    }

    /// Runs the output operations of dead letters again, in place of ``start()``: once each, oldest
    /// batch first, with the time of the batch that failed.
    ///
    /// A letter with the operation's own elements needs nothing else. One with the elements of the
    /// inputs runs through the streams in between, unless these keep state or windows: it is refused
    /// then, and stays. One whose operation fails stays, too; one that succeeds is moved to `done`.
    /// A crash in between repeats it. Nothing is received, no batch is made, and the program that
    /// wrote the letters may run meanwhile, unless a transactional sink is to be written that it
    /// has. The context is stopped afterwards.
    ///
    /// - Parameter isIncluded: which letters; all by default.
    /// - Throws: ``StreamError`` when the context was started, has no place for dead letters, or
    ///   declarations are bad; when another program replays.
    public func replayDeadLetters(
        where isIncluded: (DeadLetter.Entry) -> Bool = { _ in true }
    ) async throws -> ReplayReport {
        endUnlessRunning()
        let claim = OneShot<(any Error)?>()
        guard case .initialized = claimStart(claim) else {
            throw StreamError(
                .alreadyStarted,
                "a context that was started or stopped cannot replay; make another")
        }
        let result: Result<ReplayReport, any Error>
        do { result = .success(try await replay(isIncluded)) } catch { result = .failure(error) }
        await graph.closeSinks()
        await closeCheckpoints()
        life.withLock { $0 = .stopped(StopReport()) }
        close()
        termination.end()
        claim.set(
            StreamError(.alreadyStopped, "the context has replayed dead letters; make a new one"))
        return try result.get()
    }

    private func replay(_ isIncluded: (DeadLetter.Entry) -> Bool) async throws -> ReplayReport {
        for problem in configuration.problems(batchInterval: batchInterval) {
            graph.record(problem)
        }
        let store = try requireDeadLetterStore()
        let lock = try await store.lockForReplay()
        defer { lock.release() }
        graph.setFailureDefaults(configuration.failurePolicy, hasDeadLetters: true)
        // Nothing is kept: operators with state need no directory.
        graph.setCheckpointDirectory(true)
        try graph.startReplaying()
        let context = GenerationContext.reading(
            batchContext, NoBlocks(), standardOutput: components.standardOutput)
        let listing = try await store.list()
        var report = ReplayReport(problems: listing.problems)
        // Letters of other operations need no sink.
        do { try await graph.openSinks(on: batchContext.engine, from: nil, isReplay: true) } catch {
            report.problems.append("\(error)")
        }
        for entry in listing.entries where isIncluded(entry) {
            do {
                let letter = try await store.read(entry.id)
                try await Self.$within.withValue(ObjectIdentifier(self)) {
                    try await graph.replayJob(of: letter, context).run()
                }
                try await store.settle(entry.id)
                report.replayed.append(entry)
            } catch {
                try Task.checkCancellation()
                report.failed.append((entry, error))
            }
        }
        return report
    }

    /// Where dead letters are; nil: nowhere.
    private var deadLetterStore: (any DeadLetterStore)? {
        if let own = components.deadLetterStore { return UserDeadLetterStore.wrapping(own) }
        let directory =
            configuration.deadLetterDirectory
            ?? checkpointDirectory.withLock { $0.map { $0 + "/dead-letters" } }
        let medium = components.storageMedium
        return directory.map { FileDeadLetterStore($0, on: medium) }
    }

    private func requireDeadLetterStore() throws -> any DeadLetterStore {
        if let store = deadLetterStore { return store }
        throw StreamError(
            .deadLetterDirectoryMissing,
            "there is no directory for dead letters: set deadLetterDirectory in the configuration, "
                + "or call checkpoint(_:) on the StreamingContext")
    }

    /// Where dead letters go, checked if any operation may have some; nil: nowhere.
    func prepareDeadLetters() async -> (any DeadLetterStore)? {
        let store = deadLetterStore
        graph.setFailureDefaults(configuration.failurePolicy, hasDeadLetters: store != nil)
        let files = store as? FileDeadLetterStore
        let known = KeptLetters.waiting(in: checkpoints.withLock { $0?.found?.record })
        let mustHaveSome = files != nil && !known.marks.isEmpty
        if let store, mustHaveSome || graph.usesDeadLetters(by: configuration.failurePolicy) {
            do {
                try await store.prepare()
                if let files, try await files.noteLost(known.marks), let kept = known.directory,
                    kept != files.directory
                {
                    components.logger.log(
                        level: .error,
                        "\(appName): dead letters were kept in \(kept), and this program has them "
                            + "in \(files.directory)")
                }
                for problem in try await store.list().problems {
                    components.logger.log(level: .error, "\(appName): \(problem)")
                }
            } catch {
                graph.record(
                    StreamError(
                        .deadLetterUnwritable,
                        "the directory of dead letters cannot be used: \(error)"))
            }
        }
        return store
    }
}
