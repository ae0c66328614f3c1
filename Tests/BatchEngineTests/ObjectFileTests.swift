import Testing

import BatchEngine

/// Elements in binary files.
@Suite("Object files", .timeLimit(.minutes(5)))
struct ObjectFileTests {
    private func inTemporaryDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "objects")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    @Test("what was written comes back, partition by partition")
    func roundTrip() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.parallel()
            let path = "\(root)/x/out-1000.obj"
            let rdd = context.makeRDD(partitions: [[("a", [1, 2])], [], [("b", []), ("c", [3])]])
            try await rdd.saveAsObjectFile(path)
            #expect(
                try FileSystem.list(path) == ["_SUCCESS", "part-00000", "part-00001", "part-00002"])
            let read = try await context.objectFile(path, of: (String, [Int]).self)
            let texts = try await read.collectPartitions().map { $0.map { "\($0.0)\($0.1)" } }
            #expect(texts == [["a[1, 2]"], [], ["b[]", "c[3]"]])
            let single = try await context.objectFile(
                "\(path)/part-00002", of: (String, [Int]).self)
            #expect(try await single.count() == 2)
            let many = (0..<50_000).map { "element \($0)" }
            try await context.parallelize(many, partitions: 1).saveAsObjectFile("\(root)/many")
            let back: RDD<String> = try await context.objectFile("\(root)/many")
            #expect(try await back.collect() == many)
            #expect(try await back.take(3) == Array(many.prefix(3)))
            let joined = context.parallelize([(1, "a")]).fullOuterJoin(
                context.parallelize([(2, [0.5])]))
            try await joined.saveAsObjectFile("\(root)/joined")
            let rows = try await context.objectFile(
                "\(root)/joined", of: (Int, (String?, [Double]?)).self
            ).collect().sorted { $0.0 < $1.0 }
            #expect(rows.map { $0.1.0 } == ["a", nil] && rows.map { $0.1.1 } == [nil, [0.5]])
        }
    }

    @Test("elements that take no bytes, many of them")
    func emptyElements() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.local()
            let units: [Void] = (0..<101).map { _ in () }
            try await context.parallelize(units, partitions: 2).saveAsObjectFile(root)
            #expect(try await context.objectFile(root, of: Void.self).count() == 101)
        }
    }

    @Test("a count that nobody has written is damage, though its elements take no bytes")
    func countless() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.local()
            try await context.parallelize([()], partitions: 1).saveAsObjectFile(root)
            let file = "\(root)/part-00000"
            var writer = ByteWriter()
            writer.writeVarint(1 << 60)
            // In place of the count 1 and the end.
            let bytes = try FileSystem.readAll(file).dropLast(2) + writer.bytes + [0]
            try FileSystem.writeAtomically(file, Array(bytes), durability: .handedOver)
            let rdd = try await context.objectFile(root, of: Void.self)
            let error = await #expect(throws: EngineError.self) { try await rdd.count() }
            #expect("\(error.map { "\($0)" } ?? "")".contains("is damaged"))
        }
    }

    private final class NoCodec: Sendable {}

    @Test("another type, a damaged or missing file, a type without codec: typed errors")
    func failures() async throws {
        try await inTemporaryDirectory { root in
            let context = BatchContext.local()
            let path = "\(root)/out"
            try await context.parallelize(0..<100, partitions: 1).saveAsObjectFile(path)
            let other = try await context.objectFile(path, of: String.self)
            let shape = await #expect(throws: EngineError.self) { try await other.collect() }
            #expect(shape?.site?.name == "objectFile")
            #expect("\(shape.map { "\($0)" } ?? "")".contains("form Int, not String"))
            let file = "\(path)/part-00000"
            let bytes = try FileSystem.readAll(file)
            for count in [0, 5, 20, bytes.count - 1] {
                try FileSystem.writeAtomically(
                    file, Array(bytes[..<count]), durability: .handedOver)
                let rdd = try await context.objectFile(path, of: Int.self)
                let error = await #expect(throws: EngineError.self) { try await rdd.collect() }
                #expect("\(error.map { "\($0)" } ?? "")".contains("is damaged"))
            }
            try FileSystem.writeAtomically(file, bytes + [7], durability: .handedOver)
            let longer = try await context.objectFile(path, of: Int.self)
            await #expect(throws: EngineError.self) { try await longer.collect() }
            let missing = await #expect(throws: EngineError.self) {
                try await context.objectFile("\(root)/none", of: Int.self)
            }
            #expect(missing?.site?.name == "objectFile")
            let saving = await #expect(throws: EngineError.self) {
                try await context.parallelize([NoCodec()]).saveAsObjectFile("\(root)/no")
            }
            #expect(saving?.code == .codecMissing)
            #expect(saving?.message.contains("NoCodec") == true)
            #expect(try FileSystem.list(root) == ["out"])
        }
    }
}
