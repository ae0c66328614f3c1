public import BatchEngine
public import DStreamCore
public import ReceiverRuntime
internal import Synchronization

extension StreamingContext {
    /// The lines of a text server, as UTF-8: `\n`, `\r\n` and `\r` end a line.
    ///
    /// A refused or lost connection is reported, and tried again after the restart delay.
    ///
    /// - Parameters:
    ///   - maxLineBytes: the longest line in bytes, at least 1.
    ///   - longLines: what happens to longer ones; they are counted either way.
    ///   - storageLevel: where received blocks are kept.
    ///   - protection: what becomes of received lines in a crash; nil: what
    ///     ``Configuration/receiverWriteAheadLog`` says.
    ///   - placement: in which process the receiver runs; nil: in the driver, unless the protection
    ///     is ``InputProtection/replicated``.
    public func socketTextStream(
        _ host: String, port: Int, storageLevel: StorageLevel = .memoryOnly,
        maxLineBytes: Int = 1 << 20, longLines: LineSplitter.LongLinePolicy = .truncate,
        protection: InputProtection? = nil, placement: ReceiverPlacement? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<String> {
        let site = OperatorSite("socketTextStream", file: file, line: line)
        checkPort(port, site)
        if maxLineBytes < 1 {
            graph.record(
                StreamError(
                    .badDeclaration, "maxLineBytes is \(maxLineBytes); it must be at least 1",
                    site: site))
        }
        return register(
            SocketReceiver(
                host: host, port: port, maxLineBytes: maxLineBytes, longLines: longLines,
                storageLevel: storageLevel), protection, placement, site)
    }

    /// The elements that a decoder finds in the bytes of a server.
    ///
    /// - Parameter makeDecoder: makes a decoder for each connection.
    public func socketStream<Decoder: ByteStreamDecoder>(
        _ host: String, port: Int, storageLevel: StorageLevel = .memoryOnly,
        protection: InputProtection? = nil, placement: ReceiverPlacement? = nil,
        file: String = #fileID, line: UInt = #line,
        converter makeDecoder: @escaping @Sendable () -> Decoder
    ) -> DStream<Decoder.Element> {
        let site = OperatorSite("socketStream", file: file, line: line)
        checkPort(port, site)
        return register(
            SocketStreamReceiver(
                host: host, port: port, storageLevel: storageLevel, makeDecoder: makeDecoder),
            protection, placement, site)
    }

    /// Blocks of encoded elements from a server: each a 4-byte big-endian length and so many bytes.
    ///
    /// A frame with a negative length, or one over `receiver.rawMaxBlockSizeBytes`, ends its
    /// connection with an error; so does an element that takes more than
    /// `receiver.receivedBytesLimit`. A frame whose elements do not fit into a block becomes several.
    public func rawSocketStream<Element: StreamCodable>(
        _ host: String, port: Int, of type: Element.Type = Element.self,
        storageLevel: StorageLevel = .memoryOnly, protection: InputProtection? = nil,
        placement: ReceiverPlacement? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<Element> {
        let site = OperatorSite("rawSocketStream", file: file, line: line)
        checkPort(port, site)
        return register(
            RawSocketReceiver<Element>(host: host, port: port, storageLevel: storageLevel),
            protection, placement, site)
    }

    /// The elements of an asynchronous sequence, made anew whenever the receiver is started.
    ///
    /// - Parameter end: what happens when the sequence has ended.
    public func stream<Source: AsyncSequence & Sendable>(
        _ name: String = "AsyncSequenceReceiver",
        atEnd end: AsyncSequenceReceiver<Source>.End = .finish,
        protection: InputProtection? = nil, placement: ReceiverPlacement? = nil,
        file: String = #fileID, line: UInt = #line,
        of makeSequence: @escaping @Sendable () async throws -> Source
    ) -> DStream<Source.Element> where Source.Element: Sendable {
        register(
            AsyncSequenceReceiver(name: name, atEnd: end, makeSequence), protection, placement,
            OperatorSite("stream", file: file, line: line))
    }

    /// What a receiver of the user's stores.
    ///
    /// - Parameters:
    ///   - protection: what becomes of received elements in a crash; nil: what
    ///     ``Configuration/receiverWriteAheadLog`` says.
    ///   - placement: in which process the receiver runs; nil: in the driver, unless the protection
    ///     is ``InputProtection/replicated``.
    public func receiverStream<Source: Receiver>(
        _ receiver: Source, protection: InputProtection? = nil,
        placement: ReceiverPlacement? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<Source.Element> {
        register(
            receiver, protection, placement,
            OperatorSite("receiverStream", file: file, line: line))
    }

    /// A stream whose RDDs are computed in the driver, as by Spark's `InputDStream.compute`.
    ///
    /// - Parameters:
    ///   - isReplayable: whether a batch that runs again, also in another run of the program, is
    ///     given the same elements. Otherwise a restart that would run a batch without them is
    ///     refused.
    ///   - compute: the RDD of a batch, or nil for none; called at most once per batch.
    public func inputStream<Element: Sendable>(
        isReplayable: Bool = false, file: String = #fileID, line: UInt = #line,
        _ compute:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> RDD<Element>?
    ) -> DStream<Element> {
        graph.inputStream(
            "inputStream", isReplayable: isReplayable, file: file, line: line, compute)
    }

    func register<Source: Receiver>(
        _ receiver: Source, _ protection: InputProtection?, _ placement: ReceiverPlacement?,
        _ site: OperatorSite
    ) -> DStream<Source.Element> {
        let isLogging = configuration.receiverWriteAheadLog.isEnabled
        let protection = protection ?? (isLogging ? .writeAheadLog : .ignore)
        let (id, stream) = graph.receiverStream(
            Source.Element.self, site, isLogged: protection == .writeAheadLog)
        if graph.phase == .declaring {
            registrations.withLock {
                let registration = ReceiverRegistration(receiver, streamID: id)
                $0.append(
                    Registration(
                        receiver: registration, protection: protection, placement: placement,
                        site: site))
            }
        }
        return stream
    }

    private func checkPort(_ port: Int, _ site: OperatorSite) {
        guard !(1...65535).contains(port) else { return }
        graph.record(
            StreamError(
                .badDeclaration, "the port \(port) is not one of 1 to 65535", site: site))
    }
}
