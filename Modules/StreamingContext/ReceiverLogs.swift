internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import ReceiverRuntime

/// The write-ahead logs of a context's inputs.
struct ReceiverLogs: Sendable {
    /// What happened to blocks; nil: no stream's blocks are logged.
    let events: FileWriteAheadLog?
    /// The blocks of the streams that are logged.
    let blocks: [StreamID: FileWriteAheadLog]
    /// What streams chose for their batches; nil: none chooses.
    let choices: LoggedInputChoices?

    /// Logs that may have lost something.
    let accepted: Set<String>

    /// Opens the logs.
    static func open(
        _ registrations: [StreamingContext.Registration], choosesInput: Bool,
        in place: LogPlace, _ configuration: StreamingContext.Configuration
    ) async throws -> ReceiverLogs {
        let logged = registrations.filter { $0.protection == .writeAheadLog }
        var events: FileWriteAheadLog?
        var blocks: [StreamID: FileWriteAheadLog] = [:]
        var chosen: FileWriteAheadLog?
        do {
            let options = configuration.driverWriteAheadLog.options
            if !logged.isEmpty {
                events = try await place.open(InputLogs.events, options)
            }
            for registration in logged {
                let id = registration.receiver.streamID
                blocks[id] = try await place.open(
                    InputLogs.blocks(of: id), configuration.receiverWriteAheadLog.options)
            }
            if choosesInput {
                chosen = try await place.open(InputLogs.chosen, options)
            }
            var choices: LoggedInputChoices?
            if let chosen { choices = try await LoggedInputChoices(log: chosen) }
            return ReceiverLogs(
                events: events, blocks: blocks, choices: choices, accepted: place.accepted)
        } catch {
            for log in [events, chosen].compactMap(\.self) + blocks.values { await log.close() }
            throw error
        }
    }

    /// Ends the logs.
    func close() async {
        await events?.close()
        for log in blocks.values { await log.close() }
        await choices?.close()
    }

    /// What stores the blocks of a stream; nil: it has no log.
    func handler(
        _ id: StreamID, _ level: StorageLevel, _ codec: ErasedCodec?, _ engine: any ExecutionEngine,
        _ clock: any StreamClock
    ) -> (any ReceivedBlockHandler)? {
        guard let log = blocks[id], let codec else { return nil }
        let acceptsLoss = accepted.contains(InputLogs.blocks(of: id))
        return LoggedBlockHandler(
            streamID: id, engine: engine, level: level, codec: codec, log: log, clock: clock,
            acceptsLoss: { acceptsLoss && Self.isLoss($0) })
    }

    /// Whether an error says that a record is gone, and not that it cannot be read just now.
    private static func isLoss(_ error: any Error) -> Bool {
        let code = (error as? LogError)?.code
        return code == .missing || code == .damaged
    }

    /// How far each log reaches, by its name in the checkpoint directory.
    var ends: [String: LogPosition] {
        var ends: [String: LogPosition] = [:]
        ends[InputLogs.events] = events?.end
        ends[InputLogs.chosen] = choices?.end
        for (id, log) in blocks { ends[InputLogs.blocks(of: id)] = log.end }
        return ends
    }
}

extension StreamingContext.Configuration.WriteAheadLogSettings {
    fileprivate var options: FileWriteAheadLog.Options {
        FileWriteAheadLog.Options(
            rollingInterval: rollingInterval, closeFileAfterWrite: closeFileAfterWrite,
            maxFailures: maxFailures)
    }
}

extension StreamingContext.Registration {
    /// What is wrong with how the stream is protected.
    ///
    /// - Parameter hasOwnHandler: whether blocks are stored by a part of the user's.
    func protectionProblem(
        hasDirectory: Bool, hasOwnHandler: Bool, _ capabilities: EngineCapabilities
    ) -> StreamError? {
        switch protection {
        case .ignore, .replay: return nil
        case .replicated:
            if capabilities.replicatesBlocks { return nil }
            return StreamError(
                .badDeclaration,
                "the stream is declared .replicated, and this engine has one process to keep blocks "
                    + "in; use engine: .processes(workers:), or .writeAheadLog", site: site)
        case .writeAheadLog:
            if hasOwnHandler {
                return StreamError(
                    .badDeclaration,
                    "the stream is declared .writeAheadLog, and makeReceivedBlockHandler is set, which "
                        + "would not be called for it; declare the stream .ignore and log in that "
                        + "handler, or leave the handler out", site: site)
            }
            if receiver.codec == nil {
                return StreamError(
                    .codecMissing,
                    "the write-ahead log turns elements into bytes and \(receiver.elementName) has "
                        + "no codec; declare the type StreamCodable", site: site)
            }
            if hasDirectory { return nil }
            return StreamError(
                .checkpointDirectoryMissing,
                "the write-ahead log needs a checkpoint directory: call checkpoint(_:) on the "
                    + "StreamingContext", site: site)
        }
    }
}
