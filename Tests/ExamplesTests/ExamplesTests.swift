import BatchEngine
import DStreamTestKit
import Foundation
import StreamingContext
import Testing

/// Every example does what its header says.
///
/// The built programs run against a server that follows a script, and tests wait for what they
/// print. What is sent at once is one batch's, so each batch is known.
@Suite("Examples", .serialized, .timeLimit(.minutes(5)))
struct ExamplesTests {
    /// A run of a program that reads lines from a server, and the server's end of the connection.
    private func served(
        _ name: String, _ first: [String] = [], _ last: [String] = [],
        _ body: (ExampleRun, TCPConnection) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
            defer { listener.close() }
            let run = try ExampleRun(
                name, in: folder, first + ["127.0.0.1", "\(listener.port)"] + last)
            let connection = try await listener.accept()
            defer { connection.close() }
            try await body(run, connection)
            #expect(try await run.interrupt() == 0)
        }
    }

    @Test func networkWordCount() async throws {
        try await served("NetworkWordCount", [], ["--batch", "100"]) { run, server in
            try await server.writeAll(Array("to be or not to be\n".utf8))
            let counts = try await run.nextElements()
            #expect(counts.sorted() == ["(be,2)", "(not,1)", "(or,1)", "(to,2)"])
        }
    }

    @Test("a program whose output nobody reads any more continues, and ends when told")
    func outputIntoHead() async throws {
        try await served("NetworkWordCount", [], ["--batch", "100"]) { run, server in
            try await server.writeAll(Array("one two\n".utf8))
            _ = try await run.nextElements()
            try run.closeOutput()
            try await server.writeAll(Array("three four\n".utf8))
        }
    }

    @Test func statefulNetworkWordCount() async throws {
        try await served("StatefulNetworkWordCount", [], ["100"]) { run, server in
            try await server.writeAll(Array("hello swift hello\n".utf8))
            let first = try await run.nextElements()
            #expect(first.sorted() == ["(hello,2)", "(hello,3)", "(swift,1)"])
            try await server.writeAll(Array("swift world\n".utf8))
            #expect(try await run.nextElements().sorted() == ["(swift,2)", "(world,2)"])
        }
    }

    @Test func windowedNetworkWordCount() async throws {
        try await served("WindowedNetworkWordCount", [], ["20"]) { run, server in
            try await server.writeAll(Array("a rose is a rose\n".utf8))
            let counts = try await run.nextElements()
            #expect(counts.sorted() == ["(a,2)", "(is,1)", "(rose,2)"])
            // The line leaves the window again.
            try await run.batch(of: [])
        }
    }

    @Test("a check is passed by a program that opens the checkpoint, and by no other")
    func inspectChecks() async throws {
        try await withTemporaryFolder { folder in
            let inspect = ["checkpoint", "check", folder + "/none", "--"]
            let typo = try ExampleRun("inspect", in: folder, inspect + ["/bin/true"])
            #expect(try await typo.nextLine().hasPrefix("there is no directory \(folder)/none"))
            #expect(try await typo.ended() == 1)
            try FileSystem.createDirectory(folder + "/none")
            let idle = try ExampleRun("inspect", in: folder, inspect + ["/bin/true"])
            let line = try await idle.nextLine()
            #expect(line.contains("/bin/true ended without opening \(folder)/none"), "\(line)")
            #expect(try await idle.ended() == 1)
            let program = try ExampleRun.program("RecoverableNetworkWordCount").path
            let opens = try ExampleRun(
                "inspect", in: folder, inspect + [program, "127.0.0.1", "1", "c", "counts", "100"])
            while try await opens.nextLine() != "this program can start from here" {}
            #expect(try await opens.ended() == 0)
        }
    }

    @Test func recoverableNetworkWordCount() async throws {
        try await served(
            "RecoverableNetworkWordCount", [], ["checkpoint", "counts", "100"]
        ) { run, server in
            try await server.writeAll(Array("a word and a word\n".utf8))
            #expect(try await run.nextElements().sorted() == ["(and,1)", "(word,2)"])
            // The batch is saved before the next one is printed.
            _ = try await run.nextBatch()
            var saved: [String] = []
            for name in try FileSystem.list(run.folder) where name.hasPrefix("counts-") {
                // Beside them are files that are still being written, under other names.
                for part in try FileSystem.list("\(run.folder)/\(name)")
                where part.hasPrefix("part-") {
                    let bytes = try FileSystem.readAll("\(run.folder)/\(name)/\(part)")
                    saved += String(decoding: bytes, as: UTF8.self).split(separator: "\n")
                        .map(String.init)
                }
            }
            #expect(saved.sorted() == ["(and,1)", "(word,2)"])
            try await inspect(run.folder)
        }
    }

    @Test("inspect finds the state of an operator with a name")
    func inspectNamedState() async throws {
        try await withTemporaryFolder { folder in
            let harness = StreamHarness()
            harness.input([[("a", 1), ("b", 1)]])
                .updateStateByKey { values, sum -> Int? in (sum ?? 0) + values.reduce(0, +) }
                .named("sums").foreachRDD { _ in }
            let ssc = try await StreamingContext.getOrCreate(
                checkpointDirectory: folder + "/checkpoint"
            ) { harness.ssc }
            try await ssc.start()
            try await harness.advance()
            await ssc.stop(graceful: true)
            let report = try ExampleRun("inspect", in: folder, ["checkpoint", "checkpoint"])
            var line = ""
            while !line.hasPrefix("state of ") { line = try await report.nextLine() }
            #expect(line.contains("\"sums\"") && line.contains("(2 set, "), "\(line)")
            #expect(try await report.ended() == 0)
        }
    }

    @Test("inspect finds what was lost that a checkpoint relies on")
    func inspectLosses() async throws {
        try await withTemporaryFolder { folder in
            let harness = StreamHarness()
            let feed = FeedReceiver<String>()
            harness.ssc.receiverStream(feed, protection: .writeAheadLog).map { ($0, 1) }
                .updateStateByKey { values, sum -> Int? in (sum ?? 0) + values.reduce(0, +) }
                .foreachRDD { _ in }
            let ssc = try await StreamingContext.getOrCreate(
                checkpointDirectory: folder + "/checkpoint"
            ) { harness.ssc }
            try await ssc.start()
            func lengths() throws -> [String: Int] {
                var lengths: [String: Int] = [:]
                for log in ["state", "received/events"] {
                    let directory = folder + "/checkpoint/" + log
                    for name in try FileSystem.list(directory) where name.hasPrefix("log-") {
                        let path = directory + "/" + name
                        lengths[path] = try FileSystem.readAll(path).count
                    }
                }
                return lengths
            }
            try await feed.store(block: ["a"])
            try await harness.advance()
            let before = try lengths()
            try await feed.store(block: ["b"])
            try await harness.advance()
            // As it is while the program runs, and after a kill.
            for name in ["state", "received/events"] {
                let copy = folder + "/" + (name == "state" ? "one" : "two")
                try copyTree(folder + "/checkpoint", to: copy)
                for command in ["checkpoint", "log"] {
                    let whole = try ExampleRun("inspect", in: folder, [command, copy])
                    #expect(try await whole.ended() == 0)
                }
                for (path, length) in before where path.contains("/" + name + "/") {
                    let target = copy + path.dropFirst("\(folder)/checkpoint".count)
                    let bytes = Array(try FileSystem.readAll(target).prefix(length))
                    try FileSystem.writeAtomically(target, bytes, durability: .handedOver)
                }
                for command in ["checkpoint", "log"] {
                    let cut = try ExampleRun("inspect", in: folder, [command, copy])
                    #expect(try await cut.ended() == 1, "\(command), \(name)")
                }
            }
            let copy = folder + "/three"
            try copyTree(folder + "/checkpoint", to: copy)
            try FileSystem.removeTree(copy + "/received/events")
            for command in ["checkpoint", "log"] {
                let cut = try ExampleRun("inspect", in: folder, [command, copy])
                #expect(try await cut.ended() == 1, "\(command)")
            }
            await ssc.stop()
        }
    }

    private func copyTree(_ path: String, to copy: String) throws {
        try FileSystem.createDirectory(copy)
        for name in try FileSystem.list(path) {
            if let bytes = try? FileSystem.readAll(path + "/" + name) {
                try FileSystem.writeAtomically(
                    copy + "/" + name, bytes, durability: .handedOver)
            } else {
                try copyTree(path + "/" + name, to: copy + "/" + name)
            }
        }
    }

    /// What the recoverable word count leaves is whole, and another start could go on from it.
    private func inspect(_ folder: String) async throws {
        let report = try ExampleRun("inspect", in: folder, ["checkpoint", "checkpoint"])
        #expect(try await report.nextLine().hasPrefix("checkpoint "))
        #expect(try await report.ended() == 0)
        let logs = try ExampleRun("inspect", in: folder, ["log", "checkpoint"])
        #expect(try await logs.nextLine().hasPrefix("log checkpoint/state"))
        #expect(try await logs.ended() == 0)
        let letters = try ExampleRun("inspect", in: folder, ["dead-letters", "checkpoint"])
        #expect(try await letters.nextLine().hasPrefix("0 dead letters wait in checkpoint"))
        #expect(try await letters.ended() == 0)
        let program = try ExampleRun.program("RecoverableNetworkWordCount").path
        let check = try ExampleRun(
            "inspect", in: folder,
            ["checkpoint", "check", "checkpoint", "--", program, "localhost", "1", "c", "p", "100"])
        #expect(
            try await check.nextLine().hasPrefix(
                "the checkpoint was written by \"RecoverableNetworkWordCount\""))
        #expect(try await check.ended() == 0)
        let wrong = try ExampleRun(
            "inspect", in: folder,
            [
                "checkpoint", "check", "checkpoint", "--",
                try ExampleRun.program("QueueStream").path, "50", "2",
            ])
        #expect(try await wrong.nextLine().hasPrefix("nothing was checked"))
        #expect(try await wrong.ended() == 1)
    }

    @Test func queueStream() async throws {
        try await withTemporaryFolder { folder in
            let run = try ExampleRun("QueueStream", in: folder, ["50", "2"])
            let expected = (0...9).map { "(\($0),100)" }
            #expect(try await run.nextElements().sorted() == expected)
            #expect(try await run.nextElements().sorted() == expected)
            #expect(try await run.interrupt() == 0)
        }
    }

    @Test func rawNetworkGrep() async throws {
        try await served("RawNetworkGrep", ["1"], ["100"]) { run, server in
            try await server.writeAll(frame(["the end", "no more", "in the middle", "other"]))
            while true {
                let counts = try await run.nextElements()
                if counts == ["Grep count: 0"] { continue }
                #expect(counts == ["Grep count: 3"])
                break
            }
        }
    }

    @Test func hdfsWordCount() async throws {
        try await withTemporaryFolder { folder in
            let run = try ExampleRun("HdfsWordCount", in: folder, [folder + "/in", "100"])
            // The directory may come later; files count from the start on.
            _ = try await run.nextBatch()
            try FileSystem.createDirectory(folder + "/in")
            try FileSystem.writeAtomically(
                folder + "/words", Array("hello world\nhello\n".utf8), durability: .handedOver)
            // The temporary file of the call before must not lie there: it would be an input.
            try FileSystem.rename(
                folder + "/words", to: folder + "/in/words", durability: .handedOver)
            #expect(try await run.nextElements().sorted() == ["(hello,2)", "(world,1)"])
            #expect(try await run.interrupt() == 0)
        }
    }

    @Test func customReceiver() async throws {
        try await withTemporaryFolder { folder in
            let log = folder + "/log"
            try FileSystem.append(
                log, Array("one two\ntwo\nhalf a".utf8), durability: .handedOver)
            let run = try ExampleRun("CustomReceiver", in: folder, [log, "100"])
            #expect(try await run.nextElements().sorted() == ["(one,1)", "(two,2)"])
            try FileSystem.append(log, Array(" line\n".utf8), durability: .handedOver)
            #expect(try await run.nextElements().sorted() == ["(a,1)", "(half,1)", "(line,1)"])
            #expect(try await run.interrupt() == 0)
        }
    }

    /// Five views, as frames of one write; a line that is no view is passed over.
    private static let views = [
        "http://foo.com/ 200 94117 5", "http://bar.com/ 404 94117 6", "no view",
        "http://foo.com/ 200 10001 5", "http://foo.com/ 500 94117 7", "http://foo.com/ 200 94117 8",
    ]

    @Test(arguments: [
        ("pageCounts", ["(http://bar.com/,1)", "(http://foo.com/,4)"]),
        ("slidingPageCounts", ["(http://bar.com/,1)", "(http://foo.com/,4)"]),
        ("errorRatePerZip", ["(10001,0)", "(94117,50)"]),
        ("activeUserCount", ["Unique active users: 4"]),
    ])
    func pageViewStream(metric: String, expected: [String]) async throws {
        try await served("PageViewStream", [metric], ["100"]) { run, server in
            let lines = Self.views.map { $0 + "\n" }.joined()
            try await server.writeAll(Array(lines.utf8))
            try await run.batch(of: expected)
        }
    }

    @Test func hashtagTopK() async throws {
        try await served("HashtagTopK", [], ["2", "200"]) { run, server in
            let line = "#Swift is # not #rust but #swift see #data #data #data2\n"
            try await server.writeAll(Array(line.utf8))
            #expect(try await run.nextElements() == ["(#data,2)", "(#swift,2)"])
        }
    }

    @Test func unknownArgumentsGiveTheUsage() async throws {
        try await withTemporaryFolder { folder in
            for name in [
                "StatefulNetworkWordCount", "WindowedNetworkWordCount", "RawNetworkGrep",
                "RecoverableNetworkWordCount", "HdfsWordCount", "CustomReceiver", "PageViewStream",
                "HashtagTopK",
            ] {
                let run = try ExampleRun(name, in: folder, [])
                #expect(try await run.nextLine().hasPrefix("usage: \(name) "))
            }
        }
    }

    /// A frame of the raw protocol.
    private func frame(_ lines: [String]) -> [UInt8] {
        var writer = ByteWriter()
        for line in lines { line.encode(to: &writer) }
        let count = UInt32(writer.count)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + writer.bytes
    }
}
