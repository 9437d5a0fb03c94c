import { Struct } from './gen/google/protobuf/struct.ts';
import { decodeStruct } from './struct.ts';
const payload={name:'some name',value:12.5,flag:true,count:3,city:'Zürich',tags:['a','b'],nested:{x:1,y:'z'},a:1,b:2,c:null};
const bytes=Buffer.from(Struct.encode(Struct.wrap(payload)).finish());
for(let r=0;r<4;r++){let t=performance.now();for(let i=0;i<100000;i++)decodeStruct(bytes);console.log('direct us',(performance.now()-t)/100);
t=performance.now();for(let i=0;i<100000;i++)Struct.unwrap(Struct.decode(bytes));console.log('generated us',(performance.now()-t)/100);
t=performance.now();for(let i=0;i<100000;i++){bytes.toString('utf8',2,6);bytes.toString('utf8',8,16)};console.log('2 toString us',(performance.now()-t)/100);
t=performance.now();for(let i=0;i<100000;i++){bytes.latin1Slice(2,6)};console.log('latin1Slice us',(performance.now()-t)/100);
}
