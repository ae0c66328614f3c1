internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance

extension StreamingContext {
    /// Whether a program can resume from a checkpoint directory, and with what.
    public struct RecoveryCheck: Sendable, Hashable, CustomStringConvertible {
        /// Whether ``StreamingContext/start()`` would resume from there, or begin anew.
        public let canStart: Bool
        /// What was found, for people; problems come last.
        public let findings: [String]

        /// The findings and the verdict, a line each.
        public var description: String {
            (findings + ["this program \(canStart ? "can" : "cannot") start from here"])
                .joined(separator: "\n")
        }
    }

    /// With this environment variable ``getOrCreate(checkpointDirectory:create:)`` checks the
    /// directory that is its value instead, prints what it found, and ends the process: with status
    /// 0 when the program could start, otherwise 1.
    static let checkVariable = "DSTREAMS_CHECK_CHECKPOINT"

    /// Looks whether the program could resume from a checkpoint directory, as it is.
    ///
    /// All of the checkpoint is read, and put back into the streams that `create` declares; nothing
    /// runs. The directory is neither locked nor changed: it may be in use.
    ///
    /// - Throws: what `create` throws. What is wrong with directory and program is in the result.
    public static func checkRecovery(
        checkpointDirectory: String, create: () async throws -> StreamingContext
    ) async throws -> RecoveryCheck {
        let ssc = try await create()
        var findings: [String] = []
        var canStart = true
        do {
            let medium = ssc.components.storageMedium
            if try await isThere(checkpointDirectory, on: medium),
                let found = try await FileCheckpointStore.read(checkpointDirectory, on: medium)
            {
                findings += found.findings
                let registrations = try await ssc.rehearse(
                    found, in: checkpointDirectory, &findings)
                let pending = try await PendingInputs.read(
                    from: checkpointDirectory, on: medium,
                    acceptingLoss: ssc.acceptsLoss(in: InputLogs.chosen))
                findings += pending.inputs.map(\.description)
                try ssc.checkRepeatedInputs(pending.inputs, in: checkpointDirectory)
                findings += try await ssc.checkLogs(
                    registrations, in: checkpointDirectory, reliedOn: found.record.logs)
            } else {
                try await ssc.refuseMissingCheckpoints(in: checkpointDirectory)
                findings.append(
                    "there is no checkpoint in \(checkpointDirectory): the program would begin anew"
                )
            }
        } catch {
            canStart = false
            findings.append("\(error)")
        }
        await ssc.stop()
        return RecoveryCheck(canStart: canStart, findings: findings)
    }

    /// Ends a process that was started for a check and would now run something.
    func endUnlessRunning() {
        if ProcessEnvironment[Self.checkVariable] == nil { return }
        ProcessOutput.writeStandardOutput(
            "nothing was checked, and nothing is run: \(appName) was made without "
                + "StreamingContext.getOrCreate(checkpointDirectory:)\n")
        ProcessEnvironment.exit(1)
    }

    /// Does what a start does with what an earlier run left, and no more.
    private func rehearse(
        _ found: RecoveredCheckpoint, in directory: String, _ findings: inout [String]
    ) async throws -> [Registration] {
        graph.setCheckpointDirectory(true)
        graph.expectCheckpoints()
        graph.setFailureDefaults(configuration.failurePolicy, hasDeadLetters: true)
        let registrations = recordProblems(hasDirectory: true)
        try graph.start(zeroTime: found.record.zeroTime)
        let plan = graph.plan(forStateOf: found.record)
        for (old, new) in plan.taken.sorted(by: { $0.key < $1.key }) {
            findings.append(
                "\(new) goes on with its state" + (old == new ? "" : ", which was that of \(old)"))
        }
        findings += plan.new.map { "\($0) begins without state" }
        findings += plan.discarded.map { "the state of \($0) is given up" }
        try await restore(found, from: directory)
        return registrations
    }

    private static func isThere(
        _ directory: String, on medium: some StorageMedium
    ) async throws -> Bool {
        do {
            _ = try await medium.perform { try $0.list(directory) }
            return true
        } catch let error as StorageError where error.code == .notFound {
            return false
        }
    }

    /// Reads the logs of inputs through that a start would open.
    private func checkLogs(
        _ registrations: [Registration], in directory: String, reliedOn: [String: LogPosition]
    ) async throws -> [String] {
        let medium = components.storageMedium
        let names = try await medium.perform {
            try InputLogs.names(in: directory, on: $0, reliedOn: reliedOn)
        }
        let own = inputLogNames(registrations)
        var findings: [String] = []
        for name in names where own.contains(name) {
            do {
                let end = acceptsLoss(in: name) ? nil : reliedOn[name]
                let log = try await LogInspection(
                    of: directory + "/" + name, on: medium, reliedOn: end.map { [$0] } ?? [])
                let count = try await log.recordCount
                let isShort = reliedOn[name].map { !log.reaches($0) } ?? false
                findings.append(
                    "\(name): \(count) records, "
                        + (isShort
                            ? "and the end that the checkpoint relies on is lost, which is accepted"
                            : "all intact"))
            } catch let error as LogError where error.code == .damaged && acceptsLoss(in: name) {
                findings.append("\(name) would begin anew, as its loss is accepted: \(error)")
            }
        }
        return findings
    }
}

extension RecoveredCheckpoint {
    fileprivate var findings: [String] {
        let done = record.newestCompleted.map { "\($0)" } ?? "none"
        return [
            "the checkpoint was written by \"\(record.appName)\", with batches of "
                + "\(record.batchInterval.milliseconds) ms; the last completed batch is \(done)",
            "\(record.pendingBatches.count) batches would run again",
        ] + problems.map { "skipped: \($0)" }
    }
}
