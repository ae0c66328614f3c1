import StreamingContext
import Testing

// The code of the guide on worker processes, as a user writes it.

struct WordCount: StreamingApplication {
    static func makeContext() -> StreamingContext {
        StreamingContext(
            appName: "WordCount", batchInterval: .seconds(1), engine: .processes(workers: 4))
    }

    static func build(_ ssc: StreamingContext) {
        ssc.socketTextStream("localhost", port: 9999)
            .flatMap { $0.words() }
            .map { ($0, 1) }
            .reduceByKey(+)
            .print()
    }
}

struct Totals: StreamingApplication {
    static let checkpointDirectory: String? = "checkpoint"

    static func makeContext() -> StreamingContext {
        StreamingContext(
            appName: "Totals", batchInterval: .seconds(1), engine: .processes(workers: 4))
    }

    static func build(_ ssc: StreamingContext) {
        ssc.socketTextStream("localhost", port: 9999, protection: .writeAheadLog)
            .map { ($0, 1) }
            .updateStateByKey { values, total -> Int? in
                (total ?? 0) + values.reduce(0, +)
            }
            .named("totals")
            .print()
    }
}

@Suite("The guide on worker processes")
struct WorkerProcessesGuideTests {
    @Test("builds a graph")
    func builds() {
        let ssc = WordCount.makeContext()
        WordCount.build(ssc)
        #expect(ssc.graph.outputSites.map(\.name) == ["print"])
        #expect(Totals.checkpointDirectory == "checkpoint")
    }
}
