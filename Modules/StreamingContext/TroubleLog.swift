internal import DStreamCore

/// Writes to the logger what an operator must know even if no listener was added.
final class TroubleLog: StreamingListener {
    private let logger: any DiagnosticLogger
    private let appName: String

    init(_ logger: any DiagnosticLogger, appName: String) {
        self.logger = logger
        self.appName = appName
    }

    func onEvent(_ event: StreamEvent) {
        guard let text = Self.text(event) else { return }
        logger.log(level: .warning, "\(appName): \(text)")
    }

    /// What is worth a line; nil: nothing.
    private static func text(_ event: StreamEvent) -> String? {
        switch event {
        case .receiverStopped(let info), .receiverError(let info):
            guard let error = info.lastError, !error.isEmpty else { return nil }
            let message = info.lastErrorMessage ?? "failed"
            let text = message.hasSuffix(error) ? message : "\(message): \(error)"
            return "receiver \(info.name) of stream \(info.streamID): \(text)"
        case .linesTruncated(let stream, let count):
            return "stream \(stream): \(count) lines were over the limit"
        case .invalidUTF8Replaced(let stream, let count):
            return "stream \(stream): invalid UTF-8 was replaced in \(count) lines"
        case .checkpointFailed(let time, let message):
            return "batch \(time): \(message)"
        case .outputOperationCompleted(let info):
            guard let reason = info.failureReason else { return nil }
            return "batch \(info.batchTime): \(info.description) failed: \(reason)"
        case .outputOperationRetrying(let info, let failures, let delay, let reason):
            return "batch \(info.batchTime): attempt \(failures) of \(info.description) failed, "
                + "the next comes in \(delay): \(reason)"
        case .outputOperationDeadLettered(let info, let count):
            return "batch \(info.batchTime): \(count) elements of \(info.description) are in a "
                + "dead letter"
        case .inputRetrying(let time, let stream, let failures, let delay, let reason):
            return
                "batch \(time): attempt \(failures) to ask stream \(stream) what there is to read "
                + "failed, the next comes in \(delay): \(reason)"
        case .inputSkipped(let time, let stream, let reason):
            return "batch \(time): input of stream \(stream) was skipped: \(reason)"
        case .recordsRejected(let time, let operation, let count, let reason):
            return "batch \(time): \(count) records were left out by \(operation), one for: "
                + reason
        case .batchSetAside(let time, let message):
            return "batch \(time) was set aside: \(message)"
        case .batchesSkipped(let first, let count):
            return "\(count) batches from \(first) on were skipped"
        case .eventsDropped(let count):
            return "\(count) events were dropped: a listener is too slow"
        default:
            return nil
        }
    }
}
