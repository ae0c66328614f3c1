internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import Synchronization

extension StreamingContext {
    /// Warns of the inputs that cannot give a batch again, where a restart may ask for that.
    func warnOfInputsGivenOnce() {
        for (_, site) in graph.inputsGivenOnce.sorted(by: { $0.key < $1.key }) {
            components.logger.log(
                level: .warning,
                "\(appName): \(site) cannot give a batch again, and there is a checkpoint directory: "
                    + "a restart is refused while a batch that has taken elements from it is not "
                    + "complete. Use files, directStream or a receiver with .writeAheadLog, or "
                    + "declare inputStream(isReplayable: true) where it gives the same again")
        }
    }

    /// Refuses to run batches again without what they may have been given.
    ///
    /// - Parameter directory: the checkpoint directory.
    /// - Throws: ``StreamError`` `.inputNotReplayable`, by batch and stream.
    func checkRepeatedInputs(_ inputs: [PendingInputs.Input], in directory: String) throws {
        let once = inputs.filter { $0.kind == .taken && $0.forgotten.isEmpty }
        let problems = once.map { input in
            let site = graph.site(of: input.stream)
            let name = site.map { "\($0)" } ?? "stream \(input.stream)"
            return StreamError(
                .inputNotReplayable,
                "\(name) may have given elements to this batch, "
                    + "which has not completed, and cannot give them again. To go on without them, "
                    + "run: inspect inputs forget \(directory) \(input.batch.milliseconds) "
                    + "\(input.stream). Otherwise begin with an empty checkpoint directory",
                site: site, batchTime: input.batch)
        }
        if let error = StreamError.gathering(problems) { throw error }
    }

    /// Reports what batches skip because somebody asked for it.
    func reportForgotten(_ inputs: [PendingInputs.Input]) {
        for input in inputs where !input.forgotten.isEmpty && input.kind != .lostOffsets {
            listeners.post(
                .inputSkipped(
                    time: input.batch, stream: input.stream,
                    reason: "somebody made the batch forget "
                        + input.forgotten.joined(separator: ", ")))
        }
    }

    /// Warns of batches that run again without what receivers had given them, where nothing is known
    /// of that.
    func warnOfUnloggedReceivers(_ registrations: [Registration], _ record: CheckpointRecord) {
        guard let first = record.pendingBatches.first else { return }
        let count = record.pendingBatches.count
        let batches = count == 1 ? "batch \(first) runs" : "\(count) batches from \(first) on run"
        for registration in registrations
        where registration.protection == .ignore || registration.protection == .replicated {
            components.logger.log(
                level: .warning,
                "\(appName): \(batches) again without what \(registration.site) had received: the "
                    + "stream has no write-ahead log. Declare it with protection: .writeAheadLog")
        }
    }
}
