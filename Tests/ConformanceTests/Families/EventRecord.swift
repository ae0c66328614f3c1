import DStreamCore

/// What listeners hear, in the form in which cases write it down.
enum EventRecord {
    /// The event as a case has it; nil for events that only we have.
    static func json(_ event: StreamEvent) -> PieceJSON? {
        switch event {
        case .streamingStarted: .object(["event": .string("StreamingStarted")])
        case .batchSubmitted(let info): batch("BatchSubmitted", info, ids(info))
        case .batchStarted(let info): batch("BatchStarted", info, ids(info))
        case .batchCompleted(let info):
            batch(
                "BatchCompleted", info,
                .object(
                    Dictionary(
                        uniqueKeysWithValues: info.outputOperationInfos.map { id, operation in
                            ("\(id)", .object(["failureReason": reason(operation)]))
                        })))
        case .outputOperationStarted(let info):
            .object([
                "event": .string("OutputOperationStarted"),
                "batchTimeMillis": .time(info.batchTime), "id": .int(Int64(info.id)),
            ])
        case .outputOperationCompleted(let info):
            .object([
                "event": .string("OutputOperationCompleted"),
                "batchTimeMillis": .time(info.batchTime), "id": .int(Int64(info.id)),
                "failureReason": reason(info),
            ])
        case .receiverStarted(let info): receiver("ReceiverStarted", info)
        case .receiverError(let info): receiver("ReceiverError", info)
        case .receiverStopped(let info): receiver("ReceiverStopped", info)
        default: nil
        }
    }

    /// A recorded event without the names of classes and places around the texts of errors.
    static func plain(_ json: PieceJSON) -> PieceJSON {
        guard case .object(var members) = json else { return json }
        for (key, value) in members {
            switch (key, value) {
            case ("failureReason", .string(let text)), ("lastError", .string(let text)):
                members[key] = .string(innermost(text))
            default: members[key] = plain(value)
            }
        }
        return .object(members)
    }

    private static func batch(
        _ name: String, _ info: BatchInfo, _ operations: PieceJSON
    ) -> PieceJSON {
        .object([
            "event": .string(name), "batchTimeMillis": .time(info.batchTime),
            "numRecords": .int(Int64(info.recordCount)), "outputOperations": operations,
            "hasProcessingStart": .bool(info.processingStartTime != nil),
            "hasProcessingEnd": .bool(info.processingEndTime != nil),
        ])
    }

    private static func ids(_ info: BatchInfo) -> PieceJSON {
        .array(info.outputOperationInfos.keys.sorted().map { .int(Int64($0)) })
    }

    private static func reason(_ info: OutputOperationInfo) -> PieceJSON {
        info.failureReason.map { .string(innermost($0)) } ?? .null
    }

    private static func receiver(_ name: String, _ info: ReceiverInfo) -> PieceJSON {
        .object([
            "event": .string(name), "streamId": .int(Int64(info.streamID.rawValue)),
            "active": .bool(info.isActive),
            "lastErrorMessage": .string(info.lastErrorMessage ?? ""),
            "lastError": .string(innermost(info.lastError ?? "")),
        ])
    }

    /// What follows the last colon: the text of the exception itself.
    private static func innermost(_ text: String) -> String {
        var parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.popLast() else { return text }
        return String(last.drop { $0 == " " })
    }
}
