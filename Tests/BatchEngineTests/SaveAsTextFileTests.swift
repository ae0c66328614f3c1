import Testing

import BatchEngine

@Suite("Elements in text files", .timeLimit(.minutes(5)))
struct SaveAsTextFileTests {
    private func inTemporaryDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "save")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try FileSystem.readAll(path), as: UTF8.self)
    }

    @Test("one file per partition, empty ones too, and _SUCCESS; nothing else")
    func files() async throws {
        try await inTemporaryDirectory { root in
            let path = "\(root)/x/y/out-1000.txt"
            let rdd = BatchContext.parallel().makeRDD(partitions: [["a 1"], [], ["b 2", "c 3"]])
            try await rdd.saveAsTextFile(path)
            #expect(
                try FileSystem.list(path) == ["_SUCCESS", "part-00000", "part-00001", "part-00002"])
            #expect(try text("\(path)/part-00000") == "a 1\n")
            #expect(try text("\(path)/part-00001") == "")
            #expect(try text("\(path)/part-00002") == "b 2\nc 3\n")
            #expect(try text("\(path)/_SUCCESS") == "")
        }
    }

    @Test("a directory that exists is written into; its other files stay")
    func existing() async throws {
        try await inTemporaryDirectory { root in
            try FileSystem.append("\(root)/part-00000", Array("old".utf8), durability: .handedOver)
            try FileSystem.append("\(root)/note", [], durability: .handedOver)
            let context = BatchContext.local()
            for _ in 0..<2 {
                try await context.parallelize(["new"], partitions: 1).saveAsTextFile(root)
            }
            #expect(try FileSystem.list(root) == ["_SUCCESS", "note", "part-00000"])
            #expect(try text("\(root)/part-00000") == "new\n")
        }
    }

    @Test("numbers, tuples and long texts")
    func rendering() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.local()
            let numbers = [0, 7, -12, 1_000_000, .max, .min]
            try await context.parallelize(numbers, partitions: 1).saveAsTextFile("\(root)/n")
            #expect(
                try text("\(root)/n/part-00000") == numbers.map { "\($0)\n" }.joined())
            try await context.parallelize([("a", 1), ("b", 2)], partitions: 1)
                .saveAsTextFile("\(root)/t")
            #expect(try text("\(root)/t/part-00000") == "(a,1)\n(b,2)\n")
            let long = (0..<30_000).map { "line \($0) é" }
            try await context.parallelize(long, partitions: 1).saveAsTextFile("\(root)/l")
            #expect(try text("\(root)/l/part-00000") == long.map { $0 + "\n" }.joined())
        }
    }

    @Test("a try that fails leaves no file; the next one writes it whole")
    func retry() async throws {
        try await inTemporaryDirectory { root in
            let rdd = BatchContext.parallel().parallelize(0..<30_000, partitions: 2).map {
                element in
                if element == 29_999, TaskContext.current?.attempt == 0 { throw Boom() }
                return element
            }
            try await rdd.saveAsTextFile(root)
            #expect(try FileSystem.list(root) == ["_SUCCESS", "part-00000", "part-00001"])
            let lines = (15_000..<30_000).map { "\($0)\n" }.joined()
            #expect(try text("\(root)/part-00001") == lines)
        }
    }

    @Test("a directory that is written again is not complete before that has succeeded")
    func again() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.parallel()
            try await context.parallelize(0..<3, partitions: 3).saveAsTextFile(root)
            let rdd = context.parallelize(0..<2, partitions: 2)
            await #expect(throws: EngineError.self) {
                try await rdd.map { if $0 == 1 { throw Boom() } else { 9 } }.saveAsTextFile(root)
            }
            let parts = ["part-00000", "part-00001", "part-00002"]
            // What is there is not complete, and says so.
            #expect(try FileSystem.list(root) == ["_temporary"] + parts)
            try await rdd.saveAsObjectFile(root)
            #expect(try FileSystem.list(root) == ["_SUCCESS"] + parts)
        }
    }

    @Test("a job that fails leaves no _SUCCESS and names the operator")
    func failure() async throws {
        try await inTemporaryDirectory { root in
            let rdd = BatchContext.parallel().parallelize(0..<2, partitions: 2).map { element in
                if element == 1 { throw Boom() }
                return element
            }
            let error = await #expect(throws: EngineError.self) {
                try await rdd.saveAsTextFile(root)
            }
            #expect(error?.site?.name == "map" && error?.partition == 1)
            let names = try FileSystem.list(root)
            #expect(!names.contains { $0 == "_SUCCESS" || $0 == "part-00001" })
            #expect(names.contains("_temporary"))
            #expect(!names.contains { $0.hasPrefix("_temporary-") })
            let whole = BatchContext.local().parallelize([1])
            let denied = await #expect(throws: EngineError.self) {
                try await whole.saveAsTextFile("/proc/none/out")
            }
            #expect(denied?.site?.name == "saveAsTextFile")
        }
    }
}
