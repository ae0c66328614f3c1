import DStreamCore
import Foundation

/// The recorded events of a pipeline's first case, batch by batch, in the short form of the tests.
struct RecordedEvents {
    let events: [String]
    let hasError: Bool

    static func load(_ name: String) throws -> [RecordedEvents] {
        var root = URL(filePath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let file = root.appending(path: "Fixtures/conformance/listener_events.json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        let vectors = (json as? [String: Any])?["vectors"] as? [[String: Any]] ?? []
        let vector = vectors.first { $0["pipeline"] as? String == "listener.\(name)" }
        let steps = vector?["steps"] as? [[String: Any]]
        return (steps ?? []).filter { $0["timeMillis"] != nil }.map { step in
            RecordedEvents(
                events: (step["events"] as? [[String: Any]] ?? []).map(short),
                hasError: step["errorGivenToAwaitTermination"] is [String: Any])
        }
    }

    private static func short(_ event: [String: Any]) -> String {
        let name = event["event"] as? String ?? "?"
        let time = event["batchTimeMillis"] as? Int ?? -1
        if name.hasPrefix("Output") {
            let failure = reason(event["failureReason"])
            return "\(name) \(time) \(event["id"] as? Int ?? -1)\(failure)"
        }
        var outputs = (event["outputOperations"] as? [Int] ?? []).map { "\($0)" }
        if let operations = event["outputOperations"] as? [String: [String: Any]] {
            outputs = operations.sorted { $0.key < $1.key }
                .map { $0.key + reason($0.value["failureReason"]) }
        }
        let start = event["hasProcessingStart"] as? Bool ?? false
        let end = event["hasProcessingEnd"] as? Bool ?? false
        let records = event["numRecords"] as? Int ?? -1
        return "\(name) \(time) \(records) records \(outputs) start \(start) end \(end)"
    }

    private static func reason(_ value: Any?) -> String {
        guard let text = value as? String else { return "" }
        return text.contains("boom at 2000") ? " failed: boom at 2000" : " failed: \(text)"
    }
}

extension StreamEvent {
    /// The short form of the tests; nil for events that Spark does not have.
    var short: String? {
        switch self {
        case .batchSubmitted(let info): info.short("BatchSubmitted", isCompleted: false)
        case .batchStarted(let info): info.short("BatchStarted", isCompleted: false)
        case .batchCompleted(let info): info.short("BatchCompleted", isCompleted: true)
        case .outputOperationStarted(let info):
            "OutputOperationStarted \(info.batchTime.text) \(info.short)"
        case .outputOperationCompleted(let info):
            "OutputOperationCompleted \(info.batchTime.text) \(info.short)"
        default: nil
        }
    }
}

extension OutputOperationInfo {
    fileprivate var short: String {
        guard let failureReason else { return "\(id)" }
        return "\(id) failed: \(failureReason)"
    }
}

extension BatchInfo {
    fileprivate func short(_ name: String, isCompleted: Bool) -> String {
        let outputs = outputOperationInfos.sorted { $0.key < $1.key }.map { $0.value.short }
        return "\(name) \(batchTime.text) \(recordCount) records \(outputs) "
            + "start \(processingStartTime != nil) end \(processingEndTime != nil)"
    }
}
