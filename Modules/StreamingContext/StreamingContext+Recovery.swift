internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import Synchronization

extension StreamingContext {
    /// Where checkpoints go, and what an earlier run left there.
    struct Checkpoints: Sendable {
        let store: any CheckpointStore
        /// nil: this run is the first.
        let found: RecoveredCheckpoint?
    }

    /// Makes a context that resumes from the checkpoint in a directory, or begins there.
    ///
    /// `create` is called every time, and declares the streams, as nothing of a program is kept in a
    /// checkpoint. After ``start()``, batches that had not completed run again with what they had
    /// been given, then those missed while the program was down, then new ones. State, windows and
    /// which files were read are those of the last completed batch.
    ///
    /// Operators that keep state are found again by their place among those of the same kind and
    /// type, or by the name given with `named(_:)`.
    ///
    /// - Parameters:
    ///   - checkpointDirectory: created when missing; one program at a time has it.
    ///   - create: makes the context and declares its streams, the same ones in every run.
    /// - Throws: what `create` throws; ``DStreamCore/StreamError`` `.checkpointUnwritable` when the
    ///   directory cannot be used or is in use, `.checkpointUnreadable` when it holds checkpoints of
    ///   which none can be read.
    public static func getOrCreate(
        checkpointDirectory: String, create: () async throws -> StreamingContext
    ) async throws -> StreamingContext {
        if let directory = ProcessEnvironment[checkVariable] {
            let check = try await checkRecovery(checkpointDirectory: directory, create: create)
            ProcessOutput.writeStandardOutput("\(check)\n")
            ProcessEnvironment.exit(check.canStart ? 0 : 1)
        }
        let ssc = try await create()
        ssc.checkpoint(checkpointDirectory)
        let store: any CheckpointStore
        if let own = ssc.components.checkpointStore {
            store = UserCheckpointStore.wrapping(own)
        } else {
            do {
                store = try await ssc.openStore(checkpointDirectory)
            } catch {
                throw StreamError(code(of: error), CheckpointDirectory.text(error))
            }
        }
        let found: RecoveredCheckpoint?
        do {
            found = try await store.recover()
        } catch {
            await store.close()
            throw StreamError(.checkpointUnreadable, "\(error)")
        }
        for problem in found?.problems ?? [] {
            ssc.components.logger.log(
                level: .warning, "\(ssc.appName): skipped a damaged checkpoint: \(problem)")
        }
        ssc.checkpoints.withLock { $0 = Checkpoints(store: store, found: found) }
        return ssc
    }

    /// Whether the context resumes from what an earlier run left.
    public var isRecovered: Bool { checkpoints.withLock { $0?.found != nil } }

    /// Gives up the state that a checkpoint holds of an operator that is no more, or that is not to
    /// go on with it; without effect where there is none.
    ///
    /// - Parameter operator: its name, or its ``DStreamCore/StatefulOperator/id`` when it has none.
    public func discardState(of operator: String) { graph.discardState(of: `operator`) }

    /// Settles where checkpoints go; nil: nowhere.
    ///
    /// - Throws: ``StreamError`` when the directory cannot be used or holds an earlier run.
    func openCheckpoints() async throws -> Checkpoints? {
        if let known = checkpoints.withLock({ $0 }) { return known }
        let directory = checkpointDirectory.withLock { $0 }
        let store: any CheckpointStore
        do {
            if let own = components.checkpointStore {
                store = UserCheckpointStore.wrapping(own)
            } else if let directory {
                store = try await openStore(directory)
            } else {
                return nil
            }
        } catch {
            throw StreamError(Self.code(of: error), CheckpointDirectory.text(error))
        }
        let opened = Checkpoints(store: store, found: nil)
        // From here on it is closed with the context.
        checkpoints.withLock { $0 = opened }
        do {
            // Also so that the store knows which numbers are taken.
            guard let found = try await store.recover() else { return opened }
            throw CheckpointError(
                .notEmpty,
                "\(directory.map { "the checkpoint directory \($0)" } ?? "the checkpoint store") "
                    + "holds what an earlier run of \"\(found.record.appName)\" left after batch "
                    + "\(found.record.time); resume from it with "
                    + "StreamingContext.getOrCreate(checkpointDirectory:), or give this run an empty "
                    + "one")
        } catch {
            throw StreamError(Self.code(of: error), "\(error)")
        }
    }

    private func openStore(_ directory: String) async throws -> FileCheckpointStore {
        try CheckpointDirectory.refuseEmpty(directory)
        return try await FileCheckpointStore.open(directory, on: components.storageMedium) {
            [listeners] time, error in
            listeners.post(
                .checkpointFailed(
                    time: time, message: "old checkpoints could not be removed: \(error)"))
        }
    }

    /// What checkpoints say of the program's settings, and of its windows and inputs.
    var recordedSettings: [String: String] {
        configuration.settings.merging(graph.windowLengths) { own, _ in own }
            .merging(graph.inputIdentities) { own, _ in own }
    }

    /// Writes the checkpoint before all batches: from the first one on, a run resumes after a crash.
    func writeFirst(
        _ store: any CheckpointStore, _ zeroTime: BatchTime, _ context: GenerationContext
    ) async throws {
        var record = CheckpointRecord(
            time: zeroTime, appName: appName, zeroTime: zeroTime, batchInterval: batchInterval,
            fingerprint: graph.fingerprint, pendingBatches: [], isCompleted: true)
        record.parallelism = batchContext.defaultParallelism
        record.operators = graph.statefulOperators
        record.configuration = recordedSettings
        do {
            let (pieces, oldest) = try await graph.captureState(
                through: zeroTime, since: nil, context)
            record.oldestState = oldest
            try await store.write(record, state: pieces)
        } catch {
            throw StreamError(
                .checkpointUnwritable, "the first checkpoint cannot be written",
                underlying: error)
        }
    }

    /// Puts back what an earlier run left.
    ///
    /// - Parameter directory: where it was left, for messages.
    /// - Throws: ``StreamError`` `.checkpointMismatch` when it was another program's.
    func restore(_ found: RecoveredCheckpoint, from directory: String?) async throws {
        do { try await restore(found) } catch let error as StreamError {
            guard let directory, components.checkpointStore == nil else { throw error }
            throw StreamError(
                error.code, "checkpoint directory \(directory): \(error.message)",
                site: error.site, underlying: error.underlying, parts: error.parts)
        }
    }

    private func restore(_ found: RecoveredCheckpoint) async throws {
        let record = found.record
        guard record.appName == appName else {
            throw StreamError(
                .checkpointMismatch,
                "the checkpoint was written by \"\(record.appName)\", and this is \"\(appName)\"; "
                    + "give each program a checkpoint directory of its own")
        }
        guard record.batchInterval == batchInterval else {
            throw StreamError(
                .checkpointMismatch,
                "the checkpoint was written with batches of \(record.batchInterval.milliseconds) "
                    + "ms, and this program has \(batchInterval.milliseconds) ms; keep the interval "
                    + "or start from an empty checkpoint directory")
        }
        // Migrations are the user's, and may take as long as they like.
        let parallelism = record.parallelism > 0 ? nil : batchContext.defaultParallelism
        try await batchContext.engine.perform("recovery of state") { [graph] in
            try graph.restoreState(found.state, of: record, parallelism: parallelism)
        }
    }

    /// Opens the logs of inputs; nil: there is no directory for them.
    ///
    /// - Parameter record: the checkpoint that the run resumes from.
    func openLogs(
        _ registrations: [Registration], _ record: CheckpointRecord?
    ) async throws -> ReceiverLogs? {
        guard let directory = checkpointDirectory.withLock({ $0 }) else { return nil }
        do {
            let place = LogPlace(
                directory: directory, medium: components.storageMedium,
                reliedOn: record?.logs ?? [:], accepted: Set(acceptedLosses.withLock { $0 }.keys),
                warn: { [appName, logger = components.logger] message in
                    logger.log(level: .warning, "\(appName): \(message)")
                })
            let logs = try await ReceiverLogs.open(
                registrations, choosesInput: graph.choosesInput, in: place, configuration)
            receiverLogs.withLock { $0 = logs }
            return logs
        } catch {
            throw StreamError(
                Self.code(of: error), "the write-ahead logs in \(directory): \(error)")
        }
    }

    /// Lets others have the checkpoint directory.
    func closeCheckpoints() async {
        await receiverLogs.withLock { $0 }?.close()
        await checkpoints.withLock { $0?.store }?.close()
    }
}
